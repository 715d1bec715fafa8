package bench

import (
	"context"
	"sync"
	"time"
)

// latencies runs op again and again for a time, and returns how long each one took in
// nanoseconds. The first tenth of the time is not counted.
func latencies(ctx context.Context, length time.Duration, op func(ctx context.Context) error) ([]float64, error) {
	var took []float64
	begun := time.Now()
	counted := begun.Add(length / 10)
	for end := counted.Add(length); ; {
		from := time.Now()
		if from.After(end) && len(took) > 0 {
			return took, nil
		}
		if err := op(ctx); err != nil {
			return nil, err
		}
		if from.After(counted) {
			took = append(took, float64(time.Since(from)))
		}
	}
}

// callWorkload is a call that sends bytes and gets them back.
func callWorkload(s sizes, callers, size int) *workload {
	m := metric{name: "call " + sizeName(size) + ", " + plural(callers, "caller"), unit: Nanoseconds, x: float64(size)}
	if callers > 1 {
		m.unit, m.more = PerSecond, true
	}
	if size == 64 && callers == 1 {
		m.goals = []Goal{atMost(0.65, 0.3)}
	}
	if size == 64 && callers == 64 {
		m.goals = []Goal{atLeast(4.5, 8)}
	}
	return &workload{
		name: m.name, group: "call, " + plural(callers, "caller"), subjects: []string{Trellis, Plain, NetRPC, Socket}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := one[peer](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			payload := make([]byte, size)
			op := func(ctx context.Context) error {
				answer, err := p.call(ctx, payload)
				return wrongSize(err, len(answer), size)
			}
			if callers == 1 {
				return single(latencies(ctx, s.length, op))
			}
			return crowd(ctx, callers, s.length, op)
		},
	}
}

// single is the sample of one caller: the median.
func single(took []float64, err error) ([]sample, error) {
	if err != nil {
		return nil, err
	}
	return []sample{{quantile(took, 0.5), quantile(took, 0.99)}}, nil
}

// crowd is the sample of many callers: how many operations a second.
func crowd(ctx context.Context, callers int, length time.Duration, op func(ctx context.Context) error) ([]sample, error) {
	var mu sync.Mutex
	var all []float64
	var failed error
	each(callers, func(int) {
		took, err := latencies(ctx, length, op)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, took...)
		if err != nil {
			failed = err
		}
	})
	if failed != nil {
		return nil, failed
	}
	// Each caller is busy all the time: their number and the length of a call make the rate.
	return []sample{{float64(callers) / mean(all) * 1e9, quantile(all, 0.99)}}, nil
}

// openWorkload is a context from its open to its result.
func openWorkload(s sizes) *workload {
	m := metric{name: "context opened, started and returned", unit: Nanoseconds, goals: []Goal{atMost(0.6, 0.4)}}
	return &workload{
		name: m.name, group: "context", subjects: []string{Trellis, Plain}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := one[opener](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			return single(latencies(ctx, s.length, p.open))
		},
	}
}

// cancelWorkload is how long a cancel takes to arrive while a stream of the same
// connection is as full as it gets, both ways.
func cancelWorkload(s sizes) *workload {
	m := metric{name: "cancel to callee's ctx, link saturated", unit: Nanoseconds, goals: []Goal{within(10e6, 2e6)}}
	return &workload{
		name: m.name, group: "cancel", subjects: []string{Trellis, Plain}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := one[canceller](ctx, l, subject)
			if err != nil {
				return nil, err
			}
			stream, err := one[echoer](ctx, l, subject)
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
			return single(took, err)
		},
	}
}

func wrongSize(err error, got, want int) error {
	if err == nil && got != want {
		err = errWrongSize(got, want)
	}
	return err
}
