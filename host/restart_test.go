package host_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// One death is told to each caller once: who calls again right after it was told
// waits for the next process, and is not told of the same death once more.
func TestV06_ACallRightAfterTheDeathWaitsForTheNextProcess(t *testing.T) {
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
		return p.Cancel(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}
