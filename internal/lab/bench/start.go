package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// startWorkload is one plugin from nothing to its first answer, and to its end.
func startWorkload(s sizes) *workload {
	return &workload{
		name: "start to first answer, end", group: "start", subjects: []string{Trellis, Plain, NetRPC, Socket},
		metrics: []metric{
			{name: "start to first answer", unit: Nanoseconds, goals: []Goal{atMost(0.4, 0.3)}},
			{name: "end of one plugin", unit: Nanoseconds},
		},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			var starts, ends []float64
			for range s.starts {
				begun := time.Now()
				p, err := l.startAndCall(ctx, subject)
				if err != nil {
					return nil, err
				}
				ready := time.Now()
				if err := p.stop(); err != nil {
					return nil, err
				}
				starts, ends = append(starts, float64(ready.Sub(begun))), append(ends, float64(time.Since(ready)))
			}
			return []sample{{value: quantile(starts, 0.5)}, {value: quantile(ends, 0.5)}}, nil
		},
	}
}

// startAndCall starts a plugin and makes sure that it answers.
func (l *lab) startAndCall(ctx context.Context, subject string) (peer, error) {
	p, err := l.start(ctx, subject)
	if err != nil {
		return nil, err
	}
	answer, err := p.call(ctx, []byte("?"))
	if err := wrongSize(err, len(answer), 1); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// crowdWorkload starts many plugins at once, and ends them.
func crowdWorkload(s sizes) *workload {
	m := metric{name: fmt.Sprintf("%d starts at once, and ends", s.crowd), unit: Nanoseconds, goals: []Goal{atMost(0.5, 0)}}
	return &workload{
		name: m.name, group: "start", subjects: []string{Trellis, Plain}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			begun := time.Now()
			all, err := l.startMany(ctx, subject, s.crowd)
			if err := errors.Join(err, stopMany(all)); err != nil {
				return nil, err
			}
			return []sample{{value: float64(time.Since(begun))}}, nil
		},
	}
}
