package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// TestN02_OneShotsOfAClosedNurseryAddNothing: a one-shot that did not come to run because
// its nursery ended has not failed, whichever of its steps was cut off.
func TestN02_OneShotsOfAClosedNurseryAddNothing(t *testing.T) {
	for range 20 {
		_, err := open(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
			for range 3 {
				host.Run(n, spec(t, "shot", "good"), echo, "x")
			}
			return errBody
		})
		if err != errBody { //nolint:errorlint // the very same
			t.Fatalf("the body failed, the nursery gave %v", err)
		}
		_, err = open(t, host.Options{}, func(_ context.Context, n *host.Nursery) error {
			for range 3 {
				host.Run(n, spec(t, "shot", "good"), echo, "x")
			}
			n.Cancel()
			return nil
		})
		if err != nil {
			t.Fatalf("a cancelled nursery gave %v", err)
		}
	}
}

// A body that only reports that its nursery takes no more children has not failed by
// itself: what closed the nursery is the failure, once.
func TestN03_RefusedStartIsNotASecondFailure(t *testing.T) {
	var shot *host.OneShot[string]
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		shot = host.Run(n, spec(t, "shot", "good"), fail, "first")
		<-ctx.Done()
		_, err := n.Start(ctx, spec(t, "late", "good"))
		return err
	})
	if _, want := shot.Wait(t.Context()); err != want { //nolint:errorlint // the very same
		t.Errorf("the nursery gave %v, want %v", err, want)
	}
}

func TestN04_StartAfterCancelIsRefusedAtOnce(t *testing.T) {
	for name, end := range map[string]func(n *host.Nursery, cancel context.CancelFunc){
		"cancel":    func(n *host.Nursery, _ context.CancelFunc) { n.Cancel() },
		"outer ctx": func(_ *host.Nursery, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				outer, cancel := context.WithCancel(t.Context())
				defer cancel()
				_ = host.OpenNursery(outer, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
					end(n, cancel)
					for _, ctx := range []context.Context{t.Context(), ctx} {
						if _, err := n.Start(ctx, spec(t, "late", "good")); !errors.Is(err, fault.ErrNurseryClosed) {
							t.Errorf("start: %v", err)
						}
					}
					if _, err := host.Run(n, spec(t, "late", "good"), echo, "x").Wait(t.Context()); !errors.Is(err, fault.ErrNurseryClosed) {
						t.Errorf("run: %v", err)
					}
					return nil
				})
			}
		})
	}
}
