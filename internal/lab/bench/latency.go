package bench

import (
	"context"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
)

// openWorkload is a context from its open to its result.
func openWorkload(s sizes) *workload {
	m := metric{name: "context opened, started and returned", unit: Nanoseconds, goals: []Goal{atMost(0.3, 0.05)}}
	return &workload{
		name: m.name, group: "context", subjects: []string{Trellis, Plain, Bare}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := able[opener](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			found, err := measure.Calls(ctx, 1, s.length, p.open)
			return []sample{timesOf(found, 1)}, err
		},
	}
}

// cancelWorkload is how long a cancel takes to arrive while a stream of the same
// connection is as full as it gets, both ways.
func cancelWorkload(s sizes) *workload {
	m := metric{name: "cancel to callee's ctx, link saturated", unit: Nanoseconds, goals: []Goal{within(0.5e6, 0.2e6)}}
	return &workload{
		name: m.name, group: "cancel", subjects: []string{Trellis, Plain, Bare}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := able[canceller](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			stream, err := able[echoer](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			var took []float64
			err = saturated(ctx, stream, func(ctx context.Context) error {
				for end := time.Now().Add(2 * s.length); time.Now().Before(end) || len(took) == 0; {
					d, err := p.cancelled(ctx)
					if err != nil {
						return err
					}
					took = append(took, d)
				}
				return nil
			})
			return []sample{{measure.Quantile(took, 0.5), measure.Quantile(took, 0.99)}}, err
		},
	}
}
