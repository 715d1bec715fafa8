package dialog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// hibernate is a task that goes on with next.
func hibernate(next func(ctx context.Context) error) *dialog.Hibernation {
	return &dialog.Hibernation{Next: func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) { return nil, next(ctx) }}
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
			return nil, hibernate(func(ctx context.Context) error {
				told = context.Cause(ctx)
				return told
			})
		}}, func(s *setup) { s.base = base })
		scope := beside(func() error {
			return openIn(t.Context(), p.parent, func(context.Context, *dialog.Dialog) ([]byte, error) {
				return nil, hibernate(context.Cause)
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
