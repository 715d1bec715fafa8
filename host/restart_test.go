package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Each caller hears of a death once: whoever calls again right after that
// waits for the next process, and is not told of the same death once more.
func TestV06_ACallRightAfterTheDeathWaitsForTheNextProcess(t *testing.T) {
	parallel(t)
	s := spec(t, "phoenix", "good")
	s.Restart, s.Backoff = config.Permanent, config.Backoff{Initial: config.Duration(time.Millisecond)}
	_, err := open(t, host.Options{Supervision: config.Supervision{MaxRestarts: 100}}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		for range 5 {
			before := p.ID()
			_, err := crash.Call(ctx, p, 3)
			if died, ok := errors.AsType[*fault.ActorDied](err); !ok || !died.ID.Is(before) {
				return fmt.Errorf("the call into the dying actor gave %w", err)
			}
			now, err := whoami.Call(ctx, p, struct{}{})
			if err != nil {
				return fmt.Errorf("the call right after it: %w", err)
			}
			if now.Is(before) {
				return fmt.Errorf("the answer came from %v, which is dead", now)
			}
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
}

// A process that ends is not called unhealthy first, although it cannot be asked
// any more a moment before its end is known.
func TestV08_AnEndIsNoFailedHealthCheck(t *testing.T) {
	parallel(t)
	s := spec(t, "mortal", "good")
	s.Restart, s.Backoff = config.Permanent, config.Backoff{Initial: config.Duration(time.Millisecond)}
	s.Health.Interval = config.Duration(100 * time.Microsecond)
	ctx, cancel := context.WithCancel(host.WithEvents(t.Context()))
	deaths := 0
	err := host.OpenNursery(ctx, host.Options{Supervision: config.Supervision{MaxRestarts: 100}, Log: slog.New(slog.DiscardHandler)},
		func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, s)
			if err != nil {
				return err
			}
			for range 10 {
				if _, err := crash.Call(ctx, p, 3); !errors.Is(err, fault.ErrActorLost) {
					return fmt.Errorf("the call into the dying actor gave %w", err)
				}
			}
			return p.Cancel(ctx, "done")
		})
	if err != nil {
		t.Error(err)
	}
	cancel() // so that Events ends with what there is
	for e, err := range host.Events(ctx) {
		if err != nil || e.To == directory.Unhealthy {
			t.Error(e, err)
		}
		if e.To == directory.Reaped && e.Cause == directory.Crashed {
			deaths++
		}
	}
	if deaths != 10 {
		t.Errorf("%d deaths were told, want 10", deaths)
	}
}
