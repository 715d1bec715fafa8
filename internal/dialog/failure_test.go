package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// The callee fails, and the opener's task waits for nothing but its ctx: whether
// or not anybody has opened a stream, it is interrupted at once, and one error
// object tells the story everywhere (C23).
func TestC08_CalleeFailureInterruptsABodyThatOnlyWaits(t *testing.T) {
	for _, opens := range []struct{ opener, callee bool }{{}, {opener: true}, {callee: true}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", opens), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					if opens.callee {
						stream(t, d)
					}
					time.Sleep(time.Second)
					return nil, errBoom
				}))
				began := time.Now()
				var cause, waited, received, inTask error
				scope := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					var s *dialog.Stream
					if opens.opener {
						s = stream(t, d)
					}
					d.Go(func(ctx context.Context) error {
						<-ctx.Done()
						inTask = context.Cause(ctx)
						return ctx.Err()
					})
					<-ctx.Done()
					within(t, began, time.Second)
					cause = context.Cause(ctx)
					_, waited = d.Wait(ctx)
					if received = cause; opens.opener {
						_, received = s.Recv(ctx)
					}
					return ctx.Err()
				})
				if r := remote(t, scope); !errors.Is(r, errBoom) || !r.Origin.Is(p.child.Self()) {
					t.Errorf("the scope: %+v", scope)
				}
				for what, err := range map[string]error{"cause": cause, "Wait": waited, "Recv": received, "a task's cause": inTask} {
					same(t, what, err, scope)
				}
			})
		})
	}
}

func TestC08_FailureIsReportedOnce(t *testing.T) {
	for name, run := range map[string]func(context.Context, *dialog.Stream) error{
		"by the receiver": func(ctx context.Context, s *dialog.Stream) error { _, err := s.Recv(ctx); return err },
		"by the sender": func(ctx context.Context, s *dialog.Stream) (err error) {
			for err == nil {
				err = s.Send(ctx, nil)
			}
			return err
		},
		"by the scope": func(ctx context.Context, _ *dialog.Stream) error { <-ctx.Done(); return nil },
		"by ctx":       func(ctx context.Context, _ *dialog.Stream) error { <-ctx.Done(); return ctx.Err() },
		"by its cause": func(ctx context.Context, _ *dialog.Stream) error { <-ctx.Done(); return context.Cause(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					stream(t, d)
					time.Sleep(time.Second)
					return nil, errBoom
				}))
				var cause error
				err := open(t.Context(), p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					defer func() { cause = context.Cause(ctx) }()
					return run(ctx, stream(t, d))
				})
				same(t, "the scope", err, cause)
				remote(t, err)
			})
		})
	}
}

func TestC08_OpenerFailureInterruptsACalleeThatOnlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told time.Time
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			told = time.Now()
			if r := remote(t, context.Cause(ctx)); !errors.Is(r, errBoom) {
				t.Errorf("the callee's cause: %v", r)
			}
			return nil, ctx.Err()
		}))
		began := time.Now()
		err := open(t.Context(), p.parent, func(context.Context, *dialog.Dialog) error { return errBoom })
		same(t, "the scope", err, errBoom)
		if !told.Equal(began) {
			t.Errorf("the callee was told after %v", told.Sub(began))
		}
	})
}

// However the callee words it, what comes back is the opener's own failure, and
// the callee is in its relay path.
func TestC09_FailureThatComesBackIsTheSame(t *testing.T) {
	for name, words := range map[string]func(ctx context.Context) error{
		"its cause":  context.Cause,
		"ctx.Err":    context.Context.Err,
		"a value":    func(context.Context) error { return nil },
		"wrapped":    func(ctx context.Context) error { return fmt.Errorf("while serving: %w", context.Cause(ctx)) },
		"joined":     func(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) },
		"both kinds": func(ctx context.Context) error { return fmt.Errorf("%w, %w", ctx.Err(), context.Cause(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
					<-ctx.Done()
					return nil, words(ctx)
				}))
				own := fmt.Errorf("own: %w", errBoom)
				dlg, err := openAndFail(t.Context(), p.parent, own)
				same(t, "the scope", err, own)
				_, waited := dlg.Wait(t.Context())
				same(t, "Wait", waited, own)
				relayed := remote(t, dlg.Remote())
				if !relayed.Origin.Is(p.parent.Self()) || !slices.Equal(relayed.Relays, []actor.ID{p.child.Self()}) {
					t.Errorf("it came from %v, relayed by %v", relayed.Origin, relayed.Relays)
				}
				if relayed.Type != "*fmt.wrapError" || relayed.Message != own.Error() {
					t.Errorf("it came back as %s: %s", relayed.Type, relayed.Message)
				}
			})
		})
	}
}

func openAndFail(ctx context.Context, table *dialog.Table, failure error) (dlg *dialog.Dialog, err error) {
	err = open(ctx, table, func(_ context.Context, d *dialog.Dialog) error {
		dlg = d
		return failure
	})
	return dlg, err
}

func TestC09_FailureOfTheCleanUpIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			<-ctx.Done()
			return nil, errors.Join(context.Cause(ctx), errBoom)
		}))
		own := errors.New("own")
		dlg, err := openAndFail(t.Context(), p.parent, own)
		if !errors.Is(err, own) || !errors.Is(err, errBoom) {
			t.Errorf("the scope: %v", err)
		}
		if r := remote(t, dlg.Remote()); r.Message != "own" || !r.Origin.Is(p.parent.Self()) {
			t.Errorf("what came back: %+v", r)
		}
		_, waited := dlg.Wait(t.Context())
		same(t, "Wait", waited, own)
	})
}

// Over two hops: the grandchild fails, the child relays, and the child fails
// because of what it was told.
func TestC09_RelayKeepsTheFirstOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newPair(t, started(func(context.Context, *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Second)
			return nil, errBoom
		}))
		p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
			return nil, open(ctx, below.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return fmt.Errorf("the worker: %w", ctx.Err())
			})
		}), func(s *setup) { s.names[1] = below.parent.Self() })
		err := open(t.Context(), p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
			<-ctx.Done()
			return ctx.Err()
		})
		r := remote(t, err)
		if !r.Origin.Is(below.child.Self()) || !slices.Equal(r.Relays, []actor.ID{p.child.Self()}) {
			t.Errorf("it came from %v, relayed by %v", r.Origin, r.Relays)
		}
		if !errors.Is(err, errBoom) {
			t.Errorf("got %v", err)
		}
	})
}

// A real failure beats a cancel: the callee's, when its clean-up then runs into
// ctx.Err(), and the opener's, when it has just called Cancel.
func TestC22_FailureBeatsCancel(t *testing.T) {
	own := errors.New("own")
	ctxErr := func(ctx context.Context) error { return ctx.Err() }
	for name, c := range map[string]struct {
		callee, opener func(ctx context.Context) error
		want, not      []error
	}{
		"the clean-up ran into ctx.Err": {
			callee: func(ctx context.Context) error { return errors.Join(errBoom, ctx.Err()) },
			opener: ctxErr, want: []error{errBoom},
		},
		"the failure wraps ctx.Err": {
			callee: func(ctx context.Context) error { return fmt.Errorf("%w (%w)", errBoom, context.Cause(ctx)) },
			opener: ctxErr, want: []error{errBoom},
		},
		"the callee failed while it was cancelled": {
			callee: func(context.Context) error { return errBoom },
			opener: ctxErr, want: []error{errBoom}, not: []error{context.Canceled},
		},
		"the caller fails after its Cancel": {
			callee: ctxErr,
			opener: func(context.Context) error { return own },
			want:   []error{own}, not: []error{context.Canceled},
		},
		"the caller fails beside ctx.Err": {
			callee: ctxErr,
			opener: func(ctx context.Context) error { return errors.Join(ctx.Err(), own) },
			want:   []error{own},
		},
		"both fail": {
			callee: func(context.Context) error { return errBoom },
			opener: func(context.Context) error { return own },
			want:   []error{own, errBoom}, not: []error{context.Canceled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, parentCtx := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					err := cancelledScope(t, parentCtx, c.callee, c.opener)
					for _, want := range c.want {
						if !errors.Is(err, want) {
							t.Errorf("parent's ctx %t: got %v, want %v", parentCtx, err, want)
						}
					}
					for _, not := range c.not {
						if errors.Is(err, not) {
							t.Errorf("parent's ctx %t: got %v, which is %v", parentCtx, err, not)
						}
					}
				})
			}
		})
	}
}

// cancelledScope runs a scope that is cancelled, by Cancel or with its parent's
// ctx, and whose tasks end with what the two functions make of that.
func cancelledScope(t *testing.T, parentCtx bool, callee, opener func(ctx context.Context) error) error {
	p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
		<-ctx.Done()
		return nil, callee(ctx)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	return open(ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
		if parentCtx {
			cancel()
		} else if err := d.Cancel(ctx, "enough"); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		<-ctx.Done()
		return opener(ctx)
	})
}

// An end may be noticed by both sides at the same moment, and is one all the same.
func TestC23_OneEndingIsOneErrorObject(t *testing.T) {
	for name, c := range map[string]struct {
		callee dialog.Task
		end    func(p *pair, d *dialog.Dialog, cancel context.CancelCauseFunc)
	}{
		"a deadline on both sides": {waits, func(*pair, *dialog.Dialog, context.CancelCauseFunc) {}},
		"the parent's ctx":         {waits, func(_ *pair, _ *dialog.Dialog, cancel context.CancelCauseFunc) { cancel(errBoom) }},
		"the loss of the link":     {waits, func(p *pair, _ *dialog.Dialog, _ context.CancelCauseFunc) { p.parent.Link().Abort(errBoom) }},
		"the callee's Cancel": {func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			time.Sleep(time.Second) // the opener's task has begun
			return nil, d.Cancel(ctx, "not needed")
		}, func(*pair, *dialog.Dialog, context.CancelCauseFunc) {}},
		"a break here": {waits, func(_ *pair, d *dialog.Dialog, _ context.CancelCauseFunc) { d.Break(errBoom) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, started(c.callee))
				ctx, cancel := context.WithCancelCause(t.Context())
				ctx, stop := context.WithTimeout(ctx, time.Hour)
				defer stop()
				var cause, received error
				var dlg *dialog.Dialog
				scope := open(ctx, p.parent, func(ctx context.Context, d *dialog.Dialog) error {
					dlg = d
					s := stream(t, d)
					c.end(p, d, cancel)
					<-ctx.Done()
					cause = context.Cause(ctx)
					_, received = s.Recv(ctx)
					return ctx.Err()
				})
				_, waited := dlg.Wait(t.Context())
				same(t, "the ctx's cause", cause, scope)
				same(t, "Recv", received, scope)
				same(t, "Wait", waited, scope)
				if scope == nil {
					t.Error("no error at all")
				}
			})
		})
	}
}

// The dialog is found broken here, and the callee's value is on its way.
func TestC23_FailureThatCrossesTheValueIsTheEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRaw(t, nil)
		var waited error
		scope := beside(func() error {
			return open(t.Context(), r.table, func(ctx context.Context, d *dialog.Dialog) error {
				d.Break(errBoom)
				_, waited = d.Wait(context.WithoutCancel(ctx))
				return ctx.Err()
			})
		})
		synctest.Wait()
		r.send(frame(2, wire.Kind_KIND_STARTED))
		r.send(frame(2, wire.Kind_KIND_RETURN))
		same(t, "the scope", scope.wait(), errBoom)
		same(t, "Wait", waited, errBoom)
	})
}
