package dialog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// hibernate is a task that goes on with next.
func hibernate(d *dialog.Dialog, next func(ctx context.Context) error) *dialog.Hibernation {
	return d.Hibernate(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) { return nil, next(ctx) })
}

// A callee that hibernates is told when its ctx ends with the base of its actor, of which the dialog
// does not hear.
func TestHibernationEndsWithTheActorsBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := errors.New("the actor's base has ended")
		base, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		var told error
		p := newPair(t, tasks{"task": func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
			if err := d.Started(nil); err != nil {
				return nil, err
			}
			return nil, hibernate(d, func(ctx context.Context) error {
				told = context.Cause(ctx)
				return told
			})
		}}, func(s *setup) { s.base = base })
		scope := beside(func() error {
			return openIn(t.Context(), p.parent, func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
				return nil, hibernate(d, context.Cause)
			})
		})
		synctest.Wait()
		if told != nil {
			t.Fatalf("told %v before anything happened", told)
		}
		stop(over)
		if err := scope.wait(); told != over || err == nil { //nolint:errorlint // the very same
			t.Errorf("the callee was told %v, the scope ended with %v", told, err)
		}
	})
}

// untilToldToEnd is a task that hibernates again for as long as its ctx has not ended.
func untilToldToEnd(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, d.Hibernate(untilToldToEnd)
}

// C14: a task that hibernates is told of the end of its ctx when that has ended, also if it was about to
// end, and had not yet, when the task returned.
func TestC14_HibernationSeesTheEndOfACtxThatIsAboutToEnd(t *testing.T) {
	// play holds the end of ctx back, and has the task hibernate in between.
	play := func(t *testing.T, callee bool, end func(r *raw, id uint64)) {
		synctest.Test(t, func(t *testing.T) {
			returns, ends := make(chan struct{}), make(chan struct{})
			late := func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				d.Delay(ends)
				<-returns
				return untilToldToEnd(ctx, d)
			}
			r := newRaw(t, tasks{"task": late})
			id, task := uint64(1), func() error { r.table.Wait(); return nil }
			if !callee {
				id, task = 2, func() error { return openIn(t.Context(), r.table, late) }
			} else {
				r.send(start(id, dialog.Context))
			}
			running := beside(task)
			synctest.Wait()
			if !callee {
				r.send(frame(id, wire.Kind_KIND_STARTED))
			}
			end(r, id)
			synctest.Wait()
			close(returns)
			synctest.Wait()
			close(ends)
			if !running.over() {
				t.Error("the task was never told")
			}
		})
	}
	for name, end := range map[string]func(r *raw, id uint64){
		"cancel":  func(r *raw, id uint64) { r.send(frame(id, wire.Kind_KIND_CANCEL)) },
		"failure": func(r *raw, id uint64) { r.send(ending(id, wire.Kind_KIND_FAIL, errBoom, actor.NewID("raw"))) },
		"actor":   func(r *raw, _ uint64) { beside(func() error { r.table.CancelTasks(errBoom); return nil }) },
		"link":    func(r *raw, _ uint64) { r.end.Abort() },
	} {
		t.Run("callee, "+name, func(t *testing.T) { play(t, true, end) })
	}
	for name, end := range map[string]func(r *raw, id uint64){
		"failure": func(r *raw, id uint64) { r.send(ending(id, wire.Kind_KIND_ERROR, errBoom, actor.NewID("raw"))) },
		"link":    func(r *raw, _ uint64) { r.end.Abort() },
	} {
		t.Run("opener, "+name, func(t *testing.T) { play(t, false, end) })
	}
}

// A peer cannot wake a task again and again by messages that are dropped, since this end was closed or had
// no room for one.
func TestHibernationIsNotToldOfWhatIsDropped(t *testing.T) {
	for name, spoil := range map[string]func(r *raw, s *dialog.Stream){
		"closed":  func(_ *raw, s *dialog.Stream) { s.Close() },
		"overrun": func(r *raw, _ *dialog.Stream) { r.send(yield(1, "one"), yield(1, "two")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, ends := 0, false
				var s *dialog.Stream
				var ignores dialog.Task
				ignores = func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
					if told++; ends {
						return nil, nil
					}
					return nil, d.Hibernate(ignores)
				}
				r := newRaw(t, started(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
					s = stream(t, d, dialog.StreamOptions{Window: dialog.Window{Messages: 1}, WithoutBackpressure: true})
					return ignores(ctx, d)
				}))
				r.send(start(1, dialog.Context))
				spoil(r, s)
				r.send(frame(1, wire.Kind_KIND_CANCEL))
				before := told
				for range 10 {
					r.send(yield(1, "dropped"), &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_CREDIT, Credit: &wire.Window{}})
				}
				if told != before {
					t.Errorf("the task was told %d times of what was dropped", told-before)
				}
				ends = true
				r.send(frame(1, wire.Kind_KIND_STOP)) // is news
			})
		})
	}
}
