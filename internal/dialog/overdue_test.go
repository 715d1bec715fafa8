package dialog_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// P13: a call and a scope with a deadline return when that has passed, and the cancel
// bound after it, though the callee goes on. The task is stuck until it ends.
func TestP13_ADeadlineHoldsWithoutTheCallee(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, p *pair) error{
		"call": func(ctx context.Context, p *pair) error {
			_, err := call(ctx, p.parent, "")
			return err
		},
		"source": func(ctx context.Context, p *pair) error {
			return p.parent.Scope(ctx, &dialog.Request{Endpoint: "task", Kind: dialog.Source}, func(ctx context.Context, d *dialog.Dialog) error {
				_, err := d.SourceStream().Recv(ctx)
				return err
			})
		},
		"context": func(ctx context.Context, p *pair) error {
			return open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return ctx.Err()
			})
		},
		"context whose body has left": func(ctx context.Context, p *pair) error {
			return open(ctx, p.parent, func(context.Context, *dialog.Dialog) error { return nil })
		},
		"context that was cancelled": func(ctx context.Context, p *pair) error {
			ctx, cancel := context.WithCancel(ctx)
			return open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				cancel()
				return ctx.Err()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					if d.Request().Kind == dialog.Context {
						_ = d.Started(nil) // it is in time
					}
					<-release
					return nil, nil
				}})
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := run(ctx, p)
				within(t, began, time.Second+cancelTimeout)
				if !errors.Is(err, fault.ErrCancelUnacked) || name != "context that was cancelled" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the failure: %v", err)
				}
				if stuck := p.parent.Stuck(); len(stuck) != 1 || stuck[0].Endpoint != "task" || p.parent.Stats().Stuck != 1 || p.parent.Len() != 0 {
					t.Errorf("%v are stuck, %d dialogs", stuck, p.parent.Len())
				}
				close(release)
				synctest.Wait()
				if stuck := p.parent.Stuck(); len(stuck) != 0 {
					t.Errorf("%v are stuck, and have ended", stuck)
				}
			})
		})
	}
}

// P13: without a deadline the opener waits; the task is stuck all the same, and somebody
// is told, once.
func TestP13_WithoutADeadlineTheOpenerWaitsAndTheTaskIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}})
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		time.AfterFunc(time.Second+2*cancelTimeout, func() {
			if n := len(p.parent.Stuck()); n != 1 {
				t.Errorf("%d are stuck", n)
			}
		})
		if _, err := call(ctx, p.parent, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("the call: %v", err)
		}
		within(t, began, time.Hour)
		if n := len(p.parent.Stuck()); n != 0 || p.parent.Stats().Stuck != 1 {
			t.Errorf("%d are stuck, %d were", n, p.parent.Stats().Stuck)
		}
	})
}

// slowTimer is a ctx whose end comes a while after its deadline, as on a machine that
// is busy.
type slowTimer struct {
	context.Context
	deadline time.Time
}

func (c slowTimer) Deadline() (time.Time, bool) { return c.deadline, true }

// T1: C07 C19: a callee whose copy of the deadline is faster than the opener's own says
// nothing new: the failure is the cause of the opener's ctx.
func TestT1_ACalleeThatIsFasterThanOurDeadline(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, p *pair) error{
		"call": func(ctx context.Context, p *pair) error {
			_, err := call(ctx, p.parent, "")
			return err
		},
		"context": func(ctx context.Context, p *pair) error {
			var seen, waited error
			err := open(ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				<-ctx.Done()
				seen = context.Cause(ctx)
				_, waited = d.Wait(context.Background())
				return ctx.Err()
			})
			same(t, "the ctx's cause", seen, err)
			same(t, "Wait", waited, err)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					if d.Request().Kind == dialog.Context {
						_ = d.Started(nil) // it is in time
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second+time.Millisecond, errBudget)
				defer cancel()
				same(t, "the failure", run(slowTimer{ctx, time.Now().Add(time.Second)}, p), errBudget)
			})
		})
	}
}

// T4: P10: a task that calls runtime.Goexit has failed, on either side, and what waits
// for it goes on.
func TestT4_P10_AGoexitInATaskIsAFailure(t *testing.T) {
	exits := func(context.Context) error { runtime.Goexit(); return nil }
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			d.Go(exits)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, fault.ErrGoexit) {
			t.Errorf("the opener's task: %v", err)
		}
		p = newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			d.Go(exits)
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		err = open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, fault.ErrGoexit) {
			t.Errorf("the callee's task: %v", err)
		}
	})
}

// R4: Go refuses when its side has ended; until then tasks may start others.
func TestR4_GoAfterTheEndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var callee *dialog.Dialog
		p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			callee = d
			return nil, nil
		}))
		var opener *dialog.Dialog
		nested := false
		err := open(t.Context(), p.parent, func(_ context.Context, d *dialog.Dialog) error {
			opener = d
			d.Go(func(context.Context) error {
				time.Sleep(time.Second) // the body has ended
				d.Go(func(context.Context) error { nested = true; return nil })
				return nil
			})
			return nil
		})
		if err != nil || !nested {
			t.Errorf("the scope: %v; a task started another: %t", err, nested)
		}
		for who, d := range map[string]*dialog.Dialog{"opener": opener, "callee": callee} {
			if d.Go(func(context.Context) error { t.Error(who + ": a task began after the end"); return nil }) {
				t.Errorf("%s: Go says that it began", who)
			}
		}
	})
}

// C22: what a task fails with while its scope is being cancelled is not lost.
func TestC22_ATaskThatFailsAfterACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			d.Go(func(ctx context.Context) error {
				<-ctx.Done()
				return errBoom
			})
			return d.Cancel(ctx, "not needed any more")
		})
		same(t, "the scope's failure", err, errBoom)
	})
}
