package dialog_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

type valueKey struct{}

// kept is the ctx of a task that waits, which nobody has asked for anything.
type kept struct {
	context.Context

	endBase, endOpener context.CancelCauseFunc
	endTask            func()
}

// askings are how one finds out whether a ctx has ended, and what of.
var askings = map[string]func(ctx context.Context) (err, cause error){
	"Err":   func(ctx context.Context) (err, cause error) { return ctx.Err(), context.Cause(ctx) },
	"Cause": func(ctx context.Context) (err, cause error) { cause = context.Cause(ctx); return ctx.Err(), cause },
	"Done": func(ctx context.Context) (err, cause error) {
		select {
		case <-ctx.Done():
			return ctx.Err(), context.Cause(ctx)
		default:
			return nil, nil
		}
	},
	"a ctx that derives from it": func(ctx context.Context) (err, cause error) {
		derived, cancel := context.WithCancel(context.WithValue(ctx, valueKey{}, "of the derived one"))
		defer cancel()
		return derived.Err(), context.Cause(derived)
	},
	"AfterFunc": func(ctx context.Context) (err, cause error) {
		stop := context.AfterFunc(ctx, func() { err, cause = ctx.Err(), context.Cause(ctx) })
		synctest.Wait()
		stop()
		return err, cause
	},
}

// C19: a ctx that is asked for the first time when all is over says what it would have said before.
func TestC19_ACtxThatIsAskedLateSaysTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		happens    func(c kept)
		err, cause error
	}{
		"nothing":                     {func(kept) {}, nil, nil},
		"the opener fails":            {func(c kept) { c.endOpener(errBoom) }, context.Canceled, errBoom},
		"the base ends":               {func(c kept) { c.endBase(errBudget) }, context.Canceled, errBudget},
		"the deadline passes":         {func(kept) { time.Sleep(time.Hour) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"its task ends":               {func(c kept) { c.endTask() }, context.Canceled, context.Canceled},
		"the base, then the opener":   {func(c kept) { c.endBase(errBudget); synctest.Wait(); c.endOpener(errBoom) }, context.Canceled, errBudget},
		"the opener, then the base":   {func(c kept) { c.endOpener(errBoom); synctest.Wait(); c.endBase(errBudget) }, context.Canceled, errBoom},
		"the base, then its task":     {func(c kept) { c.endBase(errBudget); synctest.Wait(); c.endTask() }, context.Canceled, errBudget},
		"the deadline, then its task": {func(c kept) { time.Sleep(time.Hour); c.endTask() }, context.DeadlineExceeded, context.DeadlineExceeded},
		"its task, then the base":     {func(c kept) { c.endTask(); synctest.Wait(); c.endBase(errBudget) }, context.Canceled, context.Canceled},
	} {
		for way, ask := range askings {
			t.Run(name+", asked by "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := keep(t, time.Minute)
					c.happens(ctx)
					synctest.Wait()
					if err, cause := ask(ctx); err != c.err || !errors.Is(cause, c.cause) { //nolint:errorlint // of package context
						t.Errorf("it has ended with %v because of %v, want %v because of %v", err, cause, c.err, c.cause)
					}
					if v := ctx.Value(valueKey{}); v != "of the base" {
						t.Errorf("its value is %v", v)
					}
					if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Minute {
						t.Errorf("its deadline is %v, %t", at, ok)
					}
				})
			})
		}
	}
}

// keep gives the ctx of a task that runs.
func keep(t *testing.T, timeout time.Duration) (c kept) {
	t.Helper()
	base, endBase := context.WithCancelCause(context.WithValue(context.Background(), valueKey{}, "of the base"))
	outer, endOpener := context.WithCancelCause(context.Background())
	outer, stop := context.WithTimeout(outer, timeout)
	ctx, ends := make(chan context.Context, 1), make(chan struct{})
	p := newPair(t, tasks{"task": func(given context.Context, _ *dialog.Dialog) ([]byte, error) {
		ctx <- given
		<-ends
		return nil, nil
	}}, func(s *setup) { s.base = base })
	caller := beside(func() error { _, err := call(outer, p.parent, ""); return err })
	c = kept{<-ctx, endBase, endOpener, sync.OnceFunc(func() { close(ends) })}
	t.Cleanup(func() {
		c.endTask()
		caller.worker.Wait()
		stop()
		endOpener(nil)
		endBase(nil)
	})
	return c
}

// What a ctx that can be cancelled takes is there only for those who ask for it.
func TestACtxOfWhichNobodyAsksTheEndIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := keep(t, time.Minute)
		if err := errors.Join(ctx.Err(), context.Cause(ctx)); err != nil || ctx.Value(valueKey{}) == nil || dialog.Made(ctx.Context) {
			t.Errorf("it has ended with %v; made: %t", err, dialog.Made(ctx.Context))
		}
		if ctx.Done(); !dialog.Made(ctx.Context) {
			t.Error("it was not made for Done")
		}
	})
}

// N19: a base does not hold up the link's reader either when the ctx below it is made because it ends.
func TestN19_ABaseIsNotAskedWhenACtxEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := make(chan struct{})
		base := &strange{Context: context.Background()}
		r := newRaw(t, tasks{"task": func(context.Context, *dialog.Dialog) ([]byte, error) {
			<-blocked
			return nil, nil
		}}, func(s *setup) { s.base = base })
		first := start(1, dialog.Func)
		first.Start.Timeout = int64(time.Hour)
		r.send(first)
		base.does(func() { <-blocked })
		second := start(3, dialog.Func)
		second.Start.Endpoint = "nothing"
		r.send(&wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CANCEL, Cancel: &wire.Cancel{}}, second)
		if len(r.got(wire.Kind_KIND_ERROR, 3)) == 0 {
			t.Error("the reader waits for the base")
		}
		close(blocked)
		synctest.Wait()
	})
}
