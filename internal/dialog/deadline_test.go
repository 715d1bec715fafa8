package dialog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

var errBudget = errors.New("the budget is spent")

// What a side may return when its deadline has passed, and that it says no more
// than this.
var lateReturns = map[string]func(ctx context.Context) error{
	"ctx.Err":         func(ctx context.Context) error { return ctx.Err() },
	"ctx.Err wrapped": func(ctx context.Context) error { return fmt.Errorf("read: %w", ctx.Err()) },
	"the cause":       context.Cause,
	"a plain cancel":  func(context.Context) error { return context.Canceled },
	"a deadline":      func(context.Context) error { return context.DeadlineExceeded },
	"both":            func(ctx context.Context) error { return errors.Join(ctx.Err(), context.Cause(ctx)) },
}

// A deadline with a cause of its own is one failure, the cause, whatever each side
// makes of it; a call, too.
func TestC09_DeadlineWithACauseOfItsOwn(t *testing.T) {
	for openerSays, opener := range lateReturns {
		for calleeSays, callee := range lateReturns {
			t.Run("opener "+openerSays+", callee "+calleeSays, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
						<-ctx.Done()
						time.Sleep(time.Millisecond) // which of both timers is first does not matter
						return nil, callee(ctx)
					}))
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBudget)
					defer cancel()
					err := open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
						<-ctx.Done()
						return opener(ctx)
					})
					if openerSays != "both" && openerSays != "a plain cancel" && openerSays != "ctx.Err wrapped" {
						same(t, "the scope's failure", err, errBudget)
					} else if !errors.Is(err, errBudget) {
						t.Errorf("the scope: %v", err)
					}
				})
			})
		}
	}
}

func TestC09_CallUnderADeadlineWithACauseOfItsOwn(t *testing.T) {
	for name, callee := range lateReturns {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, tasks{"task": func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
				<-ctx.Done()
				time.Sleep(time.Millisecond)
				return nil, callee(ctx)
			}})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBudget)
			defer cancel()
			_, err := call(ctx, p.parent, "")
			same(t, "callee "+name+": the call's failure", err, errBudget)
		})
	}
}

// limitedBy is a ctx that says when it ends, and is ended by somebody else.
type limitedBy struct {
	context.Context

	at time.Time
}

func (c limitedBy) Deadline() (time.Time, bool) { return c.at, true }

// The same if the ctx is not ended by its deadline, but by somebody who has noticed that a moment before.
func TestC09_DeadlineThatSomebodyElseHasNoticed(t *testing.T) {
	for name, callee := range lateReturns {
		synctest.Test(t, func(t *testing.T) {
			inner, end := context.WithCancelCause(t.Context())
			defer end(nil)
			p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
				<-ctx.Done()
				<-inner.Done() // the callee's own time is over at the same moment: its answer comes after the notice
				return nil, callee(ctx)
			}))
			ctx := limitedBy{inner, time.Now().Add(time.Second)}
			noticed := time.AfterFunc(time.Second, func() { end(errBudget) })
			defer noticed.Stop()
			err := open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
			same(t, "callee "+name+": the scope's failure", err, errBudget)
		})
	}
}

// A failure of either side is not an echo of the deadline, and is kept.
func TestC22_FailureBesideADeadlineWithACauseOfItsOwn(t *testing.T) {
	for name, fails := range map[string]struct{ opener, callee error }{
		"opener": {errBoom, context.DeadlineExceeded}, "callee": {context.DeadlineExceeded, errBoom},
		"callee, joined": {context.DeadlineExceeded, errors.Join(context.DeadlineExceeded, errBoom)},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, started(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) {
				<-ctx.Done()
				time.Sleep(time.Millisecond)
				return nil, fails.callee
			}))
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBudget)
			defer cancel()
			err := open(ctx, p.parent, func(ctx context.Context, _ *dialog.Dialog) error {
				<-ctx.Done()
				return fails.opener
			})
			if !errors.Is(err, errBoom) {
				t.Errorf("%s: the failure is lost: %v", name, err)
			}
		})
	}
}
