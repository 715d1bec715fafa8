package dialog_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func TestC01_OpenBlocksUntilStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Hour)
			return []byte("result"), d.Started([]byte("first"))
		}})
		began := time.Now()
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			within(t, began, time.Hour)
			if string(d.First()) != "first" {
				t.Errorf("Started's value: %q", d.First())
			}
			value, err := d.Wait(ctx)
			if string(value) != "result" {
				t.Errorf("the result: %q", value)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestC02_StartedTwiceFailsBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Second) // the opener's task has begun
			if err := d.Started(nil); !errors.Is(err, fault.ErrStartedTwice) {
				t.Errorf("the second Started: %v", err)
			}
			if cause := context.Cause(ctx); !errors.Is(cause, fault.ErrStartedTwice) {
				t.Errorf("the callee's ctx: %v", cause)
			}
			return []byte("a value"), nil
		}))
		var cause, waited error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			_, waited = d.Wait(context.WithoutCancel(ctx))
			return ctx.Err()
		})
		if !errors.Is(err, fault.ErrStartedTwice) {
			t.Errorf("the scope: %v", err)
		}
		same(t, "the ctx's cause", cause, err)
		same(t, "Wait", waited, err)
	})
}

func TestC03_NoStreamBeforeStarted(t *testing.T) {
	p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
		if _, err := d.OpenStream(dialog.StreamOptions{}); !errors.Is(err, fault.ErrNotStarted) {
			t.Errorf("before Started: %v", err)
		}
		if err := d.Started(nil); err != nil {
			return nil, err
		}
		_, err := d.OpenStream(dialog.StreamOptions{})
		return nil, err
	}})
	if err := open(t.Context(), p.parent, func(context.Context, *dialog.Dialog) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestC04_OpenFailsIfTheCalleeNeverStarts(t *testing.T) {
	for name, want := range map[string]error{"": fault.ErrNeverStarted, "fail": errBoom} {
		p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if len(d.Args()) > 0 {
				return nil, errBoom
			}
			return []byte("a value"), nil
		}})
		err := p.parent.Scope(t.Context(), &dialog.Request{Endpoint: "task", Kind: dialog.Context, Args: []byte(name)},
			func(context.Context, *dialog.Dialog) error {
				t.Error("the opener's task ran")
				return nil
			})
		if r := remote(t, err); !errors.Is(err, want) || !r.Origin.Is(p.child.Self()) {
			t.Errorf("%q: got %v, want %v", name, err, want)
		}
	}
}

func TestC05_ScopeWaitsForTheCalleeAndDiscardsWhatItSends(t *testing.T) {
	for _, opens := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ended := 0
			p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				s := stream(t, d)
				time.Sleep(time.Second)
				for i := range 1000 {
					if err := s.Send(ctx, []byte("late")); err != nil {
						t.Errorf("message %d to an opener that has left: %v", i, err)
					}
				}
				d.Go(func(context.Context) error { time.Sleep(2 * time.Second); ended++; return nil })
				return []byte("result"), nil
			}))
			began := time.Now()
			var dlg *dialog.Dialog
			err := open(t.Context(), p.parent, func(_ context.Context, d *dialog.Dialog) error {
				dlg = d
				if opens {
					stream(t, d)
				}
				return nil
			})
			if err != nil || ended != 1 {
				t.Errorf("the scope: %v, with %d tasks ended", err, ended)
			}
			within(t, began, 3*time.Second)
			if v, err := dlg.Wait(t.Context()); string(v) != "result" || err != nil {
				t.Errorf("the result after the scope: %q, %v", v, err)
			}
		})
	}
}

func TestC06_WaitGivesTheSameToEveryone(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(func(context.Context, *dialog.Dialog) ([]byte, error) {
				time.Sleep(time.Second)
				if fails {
					return nil, errBoom
				}
				return nil, nil // nil is a value
			}))
			var mu sync.Mutex
			var errs []error
			var dlg *dialog.Dialog
			wait := func() error {
				v, err := dlg.Wait(context.Background())
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
				if len(v) != 0 {
					t.Errorf("the value is %q", v)
				}
				return nil
			}
			scope := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				dlg = d
				var early []*attempt
				for range 10 {
					early = append(early, beside(wait))
				}
				short, stop := context.WithTimeout(ctx, time.Millisecond)
				defer stop()
				if _, err := d.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a Wait whose ctx ended: %v", err)
				}
				for _, w := range early {
					_ = w.wait()
				}
				return wait()
			})
			_ = wait()
			for _, err := range errs {
				same(t, "Wait", err, scope)
			}
			if len(errs) != 12 || fails != errors.Is(scope, errBoom) {
				t.Errorf("%d answers, the scope: %v", len(errs), scope)
			}
		})
	}
}

func TestC07_OpenersEndInterruptsTheCalleeAndWaitsForIt(t *testing.T) {
	for name, c := range map[string]struct {
		run  body
		want error // what the callee's cause is
	}{
		"fails":        {func(context.Context, *dialog.Dialog) error { return errBoom }, errBoom},
		"panics":       {func(context.Context, *dialog.Dialog) error { panic("boom") }, nil},
		"exits":        {func(context.Context, *dialog.Dialog) error { runtime.Goexit(); return nil }, nil},
		"is cancelled": {func(ctx context.Context, _ *dialog.Dialog) error { <-ctx.Done(); return ctx.Err() }, io.ErrNoProgress},
		"ignores it":   {func(ctx context.Context, _ *dialog.Dialog) error { <-ctx.Done(); return nil }, io.ErrNoProgress},
		"task fails": {func(ctx context.Context, d *dialog.Dialog) error {
			d.Go(func(context.Context) error { return errBoom })
			<-ctx.Done()
			return ctx.Err()
		}, errBoom},
		"left a task": {func(_ context.Context, d *dialog.Dialog) error {
			d.Go(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			return errBoom
		}, errBoom},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { openersEnd(t, c.run, c.want) })
		})
	}
}

func openersEnd(t *testing.T, run body, want error) {
	gone, told := false, time.Time{}
	p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
		<-ctx.Done()
		told = time.Now()
		if r := remote(t, context.Cause(ctx)); want != nil && r.Message != want.Error() {
			t.Errorf("the callee's cause is %v, want %v", r, want)
		}
		time.Sleep(100 * time.Millisecond) // clean-up
		gone = true
		return nil, ctx.Err()
	}))
	var ended time.Time
	scope := beside(func() (err error) {
		defer func() {
			if recover() != nil {
				err = errBoom
			}
			if !gone {
				t.Error("the scope has ended before the callee's task")
			}
		}()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer time.AfterFunc(time.Second, func() { cancel(io.ErrNoProgress) }).Stop()
		return open(ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			defer func() { ended = time.Now() }()
			return run(ctx, d)
		})
	})
	if err := scope.wait(); want != nil && !errors.Is(err, want) {
		t.Errorf("the scope: %v, want %v", err, want)
	}
	if !told.Equal(ended) {
		t.Errorf("the callee was told %v after the opener's end", told.Sub(ended))
	}
}

func TestC07_PanicGoesOnWhenTheCalleeHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		defer func() {
			pe, ok := recover().(*fault.PanicError)
			if !ok || pe.Value != "boom" || pe.Stack == "" {
				t.Errorf("recovered %v", pe)
			}
			if n := p.parent.Len() + p.child.Len(); n != 0 {
				t.Errorf("%d dialogs are left when the panic goes on", n)
			}
		}()
		_ = open(t.Context(), p.parent, func(context.Context, *dialog.Dialog) error { panic("boom") })
	})
}

func TestC17_FailureBeforeStartedIsNotTheCancelOfAnotherContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := newPair(t, started(waits))
		p := newPair(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			err := open(ctx, other.parent, func(ctx context.Context, d *dialog.Dialog) error {
				_ = d.Cancel(ctx, "not needed")
				return ctx.Err()
			})
			if err != nil {
				t.Errorf("the further context: %v", err)
			}
			return nil, errBoom
		}})
		err := open(t.Context(), p.parent, func(context.Context, *dialog.Dialog) error { return nil })
		if _, cancelled := fault.Cancelled(err); cancelled || !errors.Is(err, errBoom) {
			t.Errorf("got %v, want the callee's own failure", err)
		}
	})
}

type key struct{}

func TestC19_BothTasksHaveOrdinaryContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(time.Hour)
		check := func(who string, ctx context.Context) {
			if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
				t.Errorf("%s: deadline %v, want %v", who, got, deadline)
			}
			if ctx.Value(key{}) != who {
				t.Errorf("%s: value %v", who, ctx.Value(key{}))
			}
			derived, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			ran := make(chan struct{})
			context.AfterFunc(derived, func() { close(ran) })
			<-ran
			if ctx.Err() != nil || context.Cause(ctx) != nil {
				t.Errorf("%s: a ctx that has not ended says %v", who, ctx.Err())
			}
		}
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			check("callee", ctx)
			<-ctx.Done()
			if ctx.Err() == nil || context.Cause(ctx) == nil {
				t.Error("a ctx that has ended does not say so")
			}
			return nil, ctx.Err()
		}), func(s *setup) { s.base = context.WithValue(context.Background(), key{}, "callee") })
		ctx, stop := context.WithDeadline(context.WithValue(t.Context(), key{}, "opener"), deadline)
		defer stop()
		err := open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
			check("opener", ctx)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || !time.Now().Equal(deadline) {
			t.Errorf("the scope: %v", err)
		}
	})
}

func TestC25_StreamToACalleeThatHasClosedAndReturned(t *testing.T) {
	for _, opened := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
				if opened {
					stream(t, d).Close()
				}
				return []byte("result"), nil
			}))
			err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				synctest.Wait() // the callee is gone
				began := time.Now()
				s := stream(t, d)
				for range 100 {
					if err := s.Send(ctx, []byte("x")); err != nil {
						t.Fatalf("send: %v", err)
					}
				}
				if m, err := s.Recv(ctx); !errors.Is(err, io.EOF) {
					t.Errorf("the loop did not end at once: %q, %v", m, err)
				}
				v, err := d.Wait(ctx)
				if string(v) != "result" {
					t.Errorf("the result: %q", v)
				}
				within(t, began, 0)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestC26_TasksOfAScopeShareItsFate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		for name, fail := range map[string]func() error{
			"failure": func() error { return errBoom },
			"panic":   func() error { panic("boom") },
		} {
			ended := 0
			var cause error
			err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				d.Go(func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(time.Second)
					ended++
					return ctx.Err()
				})
				d.Go(func(context.Context) error { return fail() })
				<-ctx.Done()
				cause = context.Cause(ctx)
				return nil
			})
			same(t, name+": the scope", err, cause)
			if ended != 1 || !errors.Is(err, errBoom) && name == "failure" {
				t.Errorf("%s: %v; %d tasks had ended", name, err, ended)
			}
		}
	})
}

// A task that calls runtime.Goexit, as a failing test does, still waits for the
// tasks that it has started.
func TestC26_TaskThatExitsWaitsForItsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		linger := func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.Add(1)
			return nil
		}
		p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			d.Go(linger)
			runtime.Goexit()
			return nil, nil
		}))
		scope := beside(func() error {
			return open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				d.Go(linger)
				<-ctx.Done()
				runtime.Goexit()
				return nil
			})
		})
		_ = scope.wait()
		if n := ended.Load(); n != 2 {
			t.Errorf("%d of two tasks had ended with the scope", n)
		}
	})
}

// A Start that comes when the table is closed leaves no dialog behind.
func TestC15_StartAfterTheTableWasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, tasks{"task": waits})
		r.table.Close()
		r.send(start(1, dialog.Func))
		if n, errs := r.table.Len(), r.got(wire.Kind_KIND_ERROR, 1); n != 0 || len(errs) != 1 {
			t.Errorf("%d dialogs, %d answers", n, len(errs))
		}
	})
}

// P05: the request that an actor end is answered when it has, though the ctx of its service
// ends first.
func TestP05_RuntimesOwnTasksOutliveTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, endService := context.WithCancel(t.Context())
		const endpoint = dialog.RuntimePrefix + "end"
		p := newPair(t, tasks{endpoint: func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			endService()
			return nil, ctx.Err()
		}}, func(s *setup) { s.base = base })
		if _, err := p.parent.CallRuntime(t.Context(), endpoint, nil); err != nil {
			t.Errorf("the request gave %v", err)
		}
	})
}
