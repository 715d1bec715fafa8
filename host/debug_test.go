package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var lingering = contract.Context[none, none, none, none, none]("lingering")

// V07, N08: an actor under a debugger is not checked, may take as long as it likes to start and to end, and the log says how
// to attach. Its host waits for it, too, be it ended itself.
func TestV07_DebugLiftsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := trellistest.Slow(trellistest.StageBoot, time.Hour)
		linger := lingering.Handle(func(ctx context.Context, n none, c *contract.Callee[none, none, none]) (none, error) {
			if err := c.Started(n); err != nil {
				return n, err
			}
			<-ctx.Done()
			time.Sleep(time.Hour) // of the bubble: somebody looks at it
			return n, ctx.Err()
		})
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "checked", Endpoints: append(goodEndpoints(), linger), Fresh: checked, Starting: start})
		log, took := &syncBuffer{}, time.Duration(0)
		err := host.OpenNursery(programs.Context(), host.Options{Log: slog.New(slog.NewJSONHandler(log, nil))}, func(ctx context.Context, n *host.Nursery) error {
			s := plug("a", "checked")
			s.Debug, s.StartTimeout, s.CancelTimeout, s.Grace = true, config.Duration(time.Second), config.Duration(time.Second), config.Duration(time.Second)
			s.Health = config.Health{Interval: config.Duration(time.Second), Endpoint: wellness.Name()}
			p, err := n.Start(ctx, s)
			if err != nil {
				return err
			}
			if _, err := sicken.Call(ctx, p, none{}); err != nil {
				return err
			}
			ended := hold(ctx, n, lingering, p)
			time.Sleep(time.Hour)
			if _, err := whoami.Call(ctx, p, none{}); err != nil {
				t.Errorf("V07: %v", err)
			}
			begun := time.Now()
			err = p.Cancel(ctx, "enough")
			took = time.Since(begun)
			<-ended
			log.await(t, fmt.Sprintf("dlv attach %d", p.ID().PID))
			n.Cancel()
			return err
		})
		if err != nil || took < time.Hour {
			t.Errorf("N08: the cancel took %v, %v; want the hour of the task", took, err)
		}
	})
}
