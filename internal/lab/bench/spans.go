package bench

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// traced is a plugin of package sdk in a tree that keeps spans.
const traced = "traced"

// tracedPeer is such a plugin, with its tree: no other plugin that is measured is in that, as one of them would have spans as well.
type tracedPeer struct {
	*trellisPeer

	tree  *task.Worker
	ended chan struct{} // closed to end the tree
	err   error         // of the tree, when that has ended
}

func (l *lab) startTraced(ctx context.Context) (process, error) {
	outside, cancel := context.WithCancel(context.Background()) // of the nursery that all others are in
	stop := context.AfterFunc(ctx, cancel)
	p := &tracedPeer{ended: make(chan struct{})}
	started := make(chan error, 1)
	p.tree = task.Start(func() {
		defer cancel()
		defer stop()
		o := host.Options{Name: traced, Log: slog.New(slog.DiscardHandler), Telemetry: config.Telemetry{Spans: 20_000}}
		p.err = host.OpenNursery(outside, o, func(ctx context.Context, n *host.Nursery) error {
			found, err := startIn(ctx, n, l.spec(Trellis))
			if err == nil {
				p.trellisPeer = found.(*trellisPeer)
			}
			started <- err
			if err == nil {
				select {
				case <-p.ended:
				case <-ctx.Done():
				}
				n.Cancel()
			}
			return err
		})
	})
	if err := <-started; err != nil {
		p.tree.Wait()
		return nil, err
	}
	return p, nil
}

func (p *tracedPeer) stop() error {
	close(p.ended)
	p.tree.Wait()
	return p.err
}

// spansWorkloads are calls with the spans of both sides kept, against the same without.
func spansWorkloads(s sizes) (all []*workload) {
	const size = 64
	for _, callers := range []int{1, 64} {
		name := fmt.Sprintf("%s, %s, spans kept", sizeName(size), plural(callers, "caller"))
		call := callMetric("call "+name, callers, size)
		call.goals = []Goal{atMost(1.3, 0)}
		if call.more {
			call.goals = []Goal{atLeast(0.77, 0)}
		}
		all = append(all, besideChild("spans", traced, call, func(ctx context.Context, p process) (sample, error) {
			found, err := calls(ctx, p, callers, size, s.length)
			return timesOf(found, callers), err
		}))
		used := metric{name: "CPU of a call " + name + ", both sides", unit: Nanoseconds, goals: []Goal{atMost(1.3, 0)}}
		all = append(all, besideChild("spans", traced, used, func(ctx context.Context, p process) (sample, error) {
			return costOf(ctx, p, callers, size, s.length)
		}))
	}
	pieces := metric{name: "allocations of a call " + sizeName(size) + ", spans kept, both sides", unit: Pieces}
	return append(all, besideChild("spans", traced, pieces, func(ctx context.Context, p process) (sample, error) {
		return allocationsOf(ctx, p, size, s.length)
	}))
}
