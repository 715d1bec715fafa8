package bench

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

// traced is a plugin of package sdk in a tree that keeps spans.
const traced = "traced"

func (l *lab) startTraced(ctx context.Context) (process, error) {
	o := host.Options{Name: traced, Log: slog.New(slog.DiscardHandler), Telemetry: config.Telemetry{Spans: 20_000}}
	return startInNursery(ctx, o, l.spec(Trellis))
}

// spansWorkloads are calls with the spans of both sides kept, against the same without.
func spansWorkloads(s sizes) (all []*workload) {
	const size = 64
	for _, callers := range []int{1, 64} {
		name := fmt.Sprintf("%s, %s, spans kept", sizeName(size), plural(callers, "caller"))
		call := callMetric("call "+name, callers, size)
		call.goals = []Goal{atMost(1.3, 0)}
		if call.more {
			call.goals = []Goal{atLeast(0.83, 0)}
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
