package dialog_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// cleansUp is a callee that takes that long to end when it is told to.
func cleansUp(takes time.Duration, done *bool) dialog.Task {
	return func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
		<-ctx.Done()
		time.Sleep(takes)
		*done = true
		return nil, ctx.Err()
	}
}

func TestC10_CancelReturnsWhenTheRemoteTaskHasEnded(t *testing.T) {
	for _, shielded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cleaned := false
			p := newPair(t, started(cleansUp(300*time.Millisecond, &cleaned)))
			var dlg *dialog.Dialog
			err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				dlg = d
				began := time.Now()
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				if shielded {
					cancel() // the caller of Cancel is cancelled itself
				}
				if err := d.Cancel(own, "enough"); err != nil || !cleaned {
					t.Errorf("Cancel: %v; the callee has cleaned up: %t", err, cleaned)
				}
				within(t, began, 300*time.Millisecond)
				if err := d.Cancel(own, "again"); err != nil {
					t.Errorf("a second Cancel: %v", err)
				}
				within(t, began, 300*time.Millisecond)
				return nil
			})
			if err != nil {
				t.Errorf("C11: the scope: %v", err)
			}
			_, waited := dlg.Wait(t.Context())
			if c, ok := fault.Cancelled(waited); !ok || !c.Canceller.Is(p.parent.Self()) || c.Reason != "enough" {
				t.Errorf("C11: Wait: %v", waited)
			}
		})
	}
}

func TestC10_CancelThatIsNotAckedIsCutAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(cleansUp(time.Hour, new(bool))))
		began := time.Now()
		var waited, cause error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			other := beside(func() error { return d.Cancel(ctx, "from elsewhere") })
			err := d.Cancel(ctx, "enough")
			within(t, began, cancelTimeout)
			if !errors.Is(err, fault.ErrCancelUnacked) {
				t.Errorf("Cancel: %v", err)
			}
			if err := other.wait(); !errors.Is(err, fault.ErrCancelUnacked) {
				t.Errorf("a Cancel at the same time: %v", err)
			}
			if err := d.Cancel(ctx, "again"); !errors.Is(err, fault.ErrCancelUnacked) {
				t.Errorf("a Cancel after that: %v", err)
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			_, waited = d.Wait(ctx)
			return nil
		})
		within(t, began, cancelTimeout)
		if !errors.Is(err, fault.ErrCancelUnacked) {
			t.Errorf("the scope: %v", err)
		}
		same(t, "C23: the ctx's cause", cause, err)
		same(t, "C23: Wait", waited, err)
		if n := p.parent.Len(); n != 0 {
			t.Errorf("the dialog was not cut: %d in the opener's table", n)
		}
		p.child.Wait()
		within(t, began, time.Hour)
	})
}

func TestC10_CalleesCancelReturnsWhenTheOpenersTaskHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cleaned := false
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Second)
			if err := d.Cancel(ctx, "closing time"); err != nil || !cleaned {
				t.Errorf("the callee's Cancel: %v; the opener has cleaned up: %t", err, cleaned)
			}
			return nil, ctx.Err()
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
			<-ctx.Done()
			time.Sleep(100 * time.Millisecond)
			cleaned = true
			return ctx.Err()
		})
		if c, ok := fault.Cancelled(err); !ok || !c.Canceller.Is(p.child.Self()) || c.Reason != "closing time" {
			t.Errorf("C11: the scope: %v, want the callee as canceller", err)
		}
	})
}

// Whoever asks for the end of the whole actor, each context into it names them,
// and fails: also when it was us.
func TestC11_CancelOfTheActorIsAnErrorAlsoIfWeAskedForIt(t *testing.T) {
	third := actor.NewID("third")
	for _, us := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(waits))
			canceller := third
			if us {
				canceller = p.parent.Self()
			}
			var scopes []*attempt
			for range 3 {
				scopes = append(scopes, beside(func() error {
					var cause error
					err := open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
						<-ctx.Done()
						cause = context.Cause(ctx)
						return ctx.Err()
					})
					same(t, "C23: the ctx's cause", cause, err)
					return err
				}))
			}
			synctest.Wait()
			p.child.CancelTasks(&fault.ContextCancelled{Canceller: canceller})
			for _, s := range scopes {
				err := s.wait()
				if c, ok := fault.Cancelled(err); !ok || !c.Canceller.Is(canceller) || !errors.Is(err, context.Canceled) {
					t.Errorf("us %t: the scope: %v", us, err)
				}
			}
		})
	}
}

func TestC11_CancelOfAThirdActorNamesItThroughTheHops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		third := actor.NewID("third")
		below := newPair(t, started(waits))
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			return nil, open(ctx, below.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}))
		scope := beside(func() error {
			return open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return ctx.Err()
			})
		})
		synctest.Wait()
		below.child.CancelTasks(&fault.ContextCancelled{Canceller: third})
		err := scope.wait()
		if c, ok := fault.Cancelled(err); !ok || !c.Canceller.Is(third) {
			t.Errorf("the scope: %v", err)
		}
		if r := remote(t, err); !r.Origin.Is(below.child.Self()) {
			t.Errorf("it arose in %v", r.Origin)
		}
	})
}

// An answer that crosses our Cancel and tells of somebody else's is not an answer to
// it, even if it names us: we also cancelled an actor further down.
func TestC11_OnlyTheDirectPeersAnswerIsAbsorbed(t *testing.T) {
	for name, c := range map[string]struct {
		from   func(r *raw) actor.ID // where the answer arose
		names  func(r *raw) actor.ID // whom it names
		absorb bool
	}{
		"the peer, naming us":      {peerOf, selfOf, true},
		"another actor, naming us": {stranger, selfOf, false},
		"the peer, naming a third": {peerOf, stranger, false},
		"the peer, naming itself":  {peerOf, peerOf, false},
		"the peer, naming nobody":  {peerOf, func(*raw) actor.ID { return actor.ID{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRaw(t, nil)
				scope := beside(func() error {
					return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
						_ = d.Cancel(ctx, "enough")
						return nil
					})
				})
				synctest.Wait()
				r.send(frame(2, wire.Kind_KIND_STARTED))
				if n := len(r.got(wire.Kind_KIND_CANCEL, 2)); n != 1 {
					t.Fatalf("%d Cancels", n)
				}
				r.send(ending(2, wire.Kind_KIND_ERROR, &fault.ContextCancelled{Canceller: c.names(r)}, c.from(r)))
				if err := scope.wait(); c.absorb != (err == nil) {
					t.Errorf("absorbed %t: %v", !c.absorb, err)
				}
			})
		})
	}
}

func peerOf(r *raw) actor.ID { return r.table.Peer() }
func selfOf(r *raw) actor.ID { return r.table.Self() }
func stranger(*raw) actor.ID { return actor.ID{Name: "stranger", UUID: "0000"} }

func TestC12_ValueReturnedBeforeTheCancelWins(t *testing.T) {
	for _, whole := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(func(context.Context, *dialog.Dialog) ([]byte, error) { return []byte("value"), nil }))
			err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
				synctest.Wait() // the callee has returned
				if whole {
					p.child.CancelTasks(&fault.ContextCancelled{Canceller: p.parent.Self()})
				} else if err := d.Cancel(ctx, "late"); err != nil {
					t.Errorf("Cancel: %v", err)
				}
				v, err := d.Wait(context.WithoutCancel(ctx))
				if string(v) != "value" {
					t.Errorf("the result: %q, %v", v, err)
				}
				return err
			})
			if err != nil {
				t.Errorf("the scope: %v", err)
			}
		})
	}
}

func TestC12_ValueThatCrossesTheCancelWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		scope := beside(func() error {
			return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
				err := d.Cancel(ctx, "enough")
				if v, waitErr := d.Wait(context.WithoutCancel(ctx)); string(v) != "value" {
					t.Errorf("the result: %q, %v", v, waitErr)
				}
				<-ctx.Done() // C24: a Cancel interrupts, whatever the answer
				return errors.Join(err, ctx.Err())
			})
		})
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_STARTED))
		r.send(&wire.Frame{Dialog: 2, Kind: wire.Kind_KIND_RETURN, Payload: []byte("value")})
		if err := scope.wait(); err != nil {
			t.Errorf("the scope: %v", err)
		}
	})
}

func TestC12_ValueReturnedAfterTheCancelIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			return []byte("value"), nil
		}))
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			_ = d.Cancel(ctx, "enough")
			v, err := d.Wait(context.WithoutCancel(ctx))
			if _, cancelled := fault.Cancelled(err); v != nil || !cancelled {
				t.Errorf("the result: %q, %v", v, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("the scope: %v", err)
		}
	})
}

func TestC13_NoStreamAfterACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			_, err := d.OpenStream(dialog.StreamOptions{})
			same(t, "the callee's OpenStream", err, context.Cause(ctx))
			time.Sleep(time.Millisecond)
			return nil, err
		}))
		check := func(when string, d *dialog.Dialog) {
			_, err := d.OpenStream(dialog.StreamOptions{})
			if c, ok := fault.Cancelled(err); !ok || !c.Canceller.Is(p.parent.Self()) {
				t.Errorf("%s: %v", when, err)
			}
		}
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			cancel := beside(func() error { return d.Cancel(ctx, "enough") })
			if cancel.over() {
				t.Error("the cancel is over")
			}
			check("while it is under way", d)
			_ = cancel.wait()
			check("after the ack", d)
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("the scope: %v", err)
		}
	})
}

// announcing is a Start whose arguments follow.
func announcing(id uint64, kind dialog.Kind, bytes int) *wire.Frame {
	f := start(id, kind)
	f.Start.Arguments = uint64(bytes)
	return f
}

// arguments is what follows then.
func arguments(id uint64, bytes int) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_ARGUMENTS, Payload: make([]byte, bytes)}
}

// A Cancel or a Fail right behind its Start is not lost: the task does not run, or is
// cancelled as its first act. One whose arguments are still on their way never runs, and
// nobody misses them.
func TestC14_CancelRightBehindItsOpenIsNotLost(t *testing.T) {
	self := actor.NewID("raw")
	cancel := func(id uint64) *wire.Frame { return frame(id, wire.Kind_KIND_CANCEL) }
	fail := func(id uint64) *wire.Frame { return ending(id, wire.Kind_KIND_FAIL, errBoom, self) }
	for name, c := range map[string]struct {
		frames []*wire.Frame
		acks   int
	}{
		"cancel":                    {[]*wire.Frame{start(1, dialog.Context), cancel(1)}, 1},
		"fail":                      {[]*wire.Frame{start(1, dialog.Func), fail(1)}, 0},
		"both":                      {[]*wire.Frame{start(1, dialog.Context), cancel(1), fail(1)}, 1},
		"cancel, arguments after":   {[]*wire.Frame{announcing(1, dialog.Context, 9), cancel(1), arguments(1, 9)}, 1},
		"cancel, arguments before":  {[]*wire.Frame{announcing(1, dialog.Context, 9), arguments(1, 9), cancel(1)}, 1},
		"cancel, arguments between": {[]*wire.Frame{announcing(1, dialog.Func, 9), cancel(1), arguments(1, 9), fail(1)}, 1},
		"fail, arguments after":     {[]*wire.Frame{announcing(1, dialog.Func, 9), fail(1), arguments(1, 9)}, 0},
		"cancel, no arguments":      {[]*wire.Frame{announcing(1, dialog.Func, 9), cancel(1)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				r := newRaw(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
					<-ctx.Done() // hangs for ever if the cancel was lost
					cause = context.Cause(ctx)
					return nil, ctx.Err()
				}})
				began := time.Now()
				r.send(c.frames...)
				r.table.Wait()
				within(t, began, 0)
				if n := len(r.got(wire.Kind_KIND_CANCEL_ACK, 1)); n != c.acks {
					t.Errorf("%d acks, want %d", n, c.acks)
				}
				ends := r.got(wire.Kind_KIND_ERROR, 1)
				if len(ends) != 1 {
					t.Fatalf("%d Errors, want one", len(ends))
				}
				err := fault.Unpack(ends[0].Fault)
				if _, cancelled := fault.Cancelled(err); !cancelled && !errors.Is(err, errBoom) {
					t.Errorf("it ended with %v", err)
				}
				if cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, errBoom) {
					t.Errorf("its ctx ended with %v", cause)
				}
				if n := r.warns.n.Load(); n != 0 {
					t.Errorf("%d violations", n)
				}
			})
		})
	}
}

// A task begins when its arguments have come, and not before.
func TestC01_TaskWaitsForItsArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) { return d.Args(), nil }})
		r.send(announcing(1, dialog.Func, 3), start(3, dialog.Func))
		if len(r.got(wire.Kind_KIND_RETURN, 1)) != 0 || len(r.got(wire.Kind_KIND_RETURN, 3)) != 1 {
			t.Fatal("a call without its arguments has an answer, or one that has them waits")
		}
		first, last := arguments(1, 0), arguments(1, 0)
		first.Payload, first.More, last.Payload = []byte("ab"), true, []byte("c")
		r.send(first, start(5, dialog.Func), last)
		if got := r.got(wire.Kind_KIND_RETURN, 1); len(got) != 1 || string(got[0].Payload) != "abc" {
			t.Errorf("the call got %v, want its arguments", got)
		}
		if n := r.warns.n.Load(); n != 0 {
			t.Errorf("%d violations", n)
		}
	})
}

// A deadline ends a dialog whose arguments do not come.
func TestC14_DeadlineWhileArgumentsTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, tasks{"task": waits})
		f := announcing(1, dialog.Func, 3)
		f.Start.Timeout = int64(time.Second)
		r.send(f)
		began := time.Now()
		r.table.Wait()
		within(t, began, time.Second)
		got := r.got(wire.Kind_KIND_ERROR, 1)
		if len(got) != 1 || !errors.Is(fault.Unpack(got[0].Fault), context.DeadlineExceeded) {
			t.Errorf("it ended with %v", got)
		}
	})
}

// The same between two honest actors: large arguments wait in the data lane, and
// the Cancel overtakes them.
func TestC14_CancelRightBehindALargeOpen(t *testing.T) {
	p := newPair(t, tasks{"task": waits})
	args := bytes.Repeat([]byte{1}, 2<<20)
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := beside(func() error {
			_, err := p.parent.Call(ctx, &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: args})
			return err
		})
		cancel(errBoom)
		if err := c.wait(); !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
	}
}

func TestC24_CancelFromAnotherGoroutineInterruptsTheScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		began := time.Now()
		var cause, waited, bodyErr error
		err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
			outside := beside(func() error { time.Sleep(time.Second); return d.Cancel(context.Background(), "from outside") })
			<-ctx.Done()
			within(t, began, time.Second)
			cause = context.Cause(ctx)
			_, waited = d.Wait(context.WithoutCancel(ctx))
			if err := outside.wait(); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			bodyErr = ctx.Err()
			return bodyErr
		})
		if err != nil || bodyErr == nil {
			t.Errorf("delivered twice: the scope says %v, its function said %v", err, bodyErr)
		}
		same(t, "C23: Wait", waited, cause)
	})
}

func TestC24_CancelOfAScopeThatAlreadyWaitsForTheCallee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(waits))
		began := time.Now()
		var outside *attempt
		err := open(t.Context(), p.parent, func(_ context.Context, d *dialog.Dialog) error {
			outside = beside(func() error { time.Sleep(time.Second); return d.Cancel(context.Background(), "from outside") })
			return nil
		})
		within(t, began, time.Second)
		if err != nil || outside.wait() != nil {
			t.Errorf("the scope: %v; Cancel: %v", err, outside.err)
		}
	})
}
