package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
)

// everyone can be called.
var everyone = []string{Trellis, Plain, NetRPC, Bare, TTRPC, Socket}

// callMetric is how long a call takes, or how many are made in a second.
func callMetric(name string, callers, size int) metric {
	if callers > 1 {
		return metric{name: name, unit: PerSecond, more: true, x: float64(size)}
	}
	return metric{name: name, unit: Nanoseconds, x: float64(size)}
}

// callWorkload is a call that sends bytes and gets them back.
func callWorkload(s sizes, callers, size int) *workload {
	name := "call " + sizeName(size) + ", " + plural(callers, "caller")
	m := callMetric(name, callers, size)
	if size == 64 && callers == 1 {
		m.goals = []Goal{atMost(0.2, 0.03)}
	}
	if size == 64 && callers == 64 {
		m.goals = []Goal{atLeast(10, 16)}
	}
	return &workload{
		name: name, group: "call, " + plural(callers, "caller"), subjects: everyone, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := l.one(ctx, subject)
			if err != nil {
				return nil, err
			}
			found, err := calls(ctx, p, callers, size, s.length)
			return []sample{timesOf(found, callers)}, err
		},
	}
}

// calls makes calls, from this process or from the subject's own.
func calls(ctx context.Context, p process, callers, size int, length time.Duration) (measure.Found, error) {
	switch p := p.(type) {
	case driver:
		return p.drive(ctx, callers, size, length)
	case peer:
		payload := make([]byte, size)
		return measure.Calls(ctx, callers, length, func(ctx context.Context) error {
			answer, err := p.call(ctx, payload)
			if err != nil {
				return err
			}
			return wrongSize(len(answer), size)
		})
	}
	return measure.Found{}, fmt.Errorf("a %T cannot be called", p)
}

// timesOf is the median of one caller's times, or the rate of many.
func timesOf(found measure.Found, callers int) sample {
	if callers == 1 {
		return sample{found.P50, found.P99}
	}
	return sample{found.Rate, found.P99}
}

// costWorkload is what a call costs both sides.
func costWorkload(s sizes, callers int) *workload {
	const size = 64
	name := "CPU of a call " + sizeName(size) + ", " + plural(callers, "caller") + ", both sides"
	used := metric{name: name, unit: Nanoseconds}
	if callers > 1 {
		used.goals = []Goal{within(6e3, 0)}
	}
	return &workload{
		name: name, group: "cost", subjects: everyone, metrics: []metric{used},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := l.one(ctx, subject)
			if err != nil {
				return nil, err
			}
			found, err := costOf(ctx, p, callers, size, s.length)
			return []sample{found}, err
		},
	}
}

// costOf is the processor time of both sides for a call.
func costOf(ctx context.Context, p process, callers, size int, length time.Duration) (sample, error) {
	before, err := processorTimes(takingPart(p))
	if err != nil {
		return sample{}, &unavailable{err.Error()}
	}
	found, err := calls(ctx, p, callers, size, length)
	if err != nil {
		return sample{}, err
	}
	after, err := processorTimes(takingPart(p))
	return sample{value: float64(after-before) / float64(found.Done)}, err
}

// allocationsWorkload is what both sides of a call allocate.
func allocationsWorkload(s sizes) *workload {
	const size = 64
	m := metric{name: "allocations of a call " + sizeName(size) + ", both sides", unit: Pieces, goals: []Goal{within(5, 0)}}
	return &workload{
		name: m.name, group: "cost", subjects: []string{Trellis, Plain, Bare}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			p, err := l.one(ctx, subject)
			if err != nil {
				return nil, err
			}
			found, err := allocationsOf(ctx, p, size, s.length)
			return []sample{found}, err
		},
	}
}

// allocationsOf is what both sides allocate for a call.
func allocationsOf(ctx context.Context, p process, size int, length time.Duration) (sample, error) {
	before, err := bothSides(ctx, p)
	if err != nil {
		return sample{}, err
	}
	found, err := calls(ctx, p, 1, size, length)
	if err != nil {
		return sample{}, err
	}
	after, err := bothSides(ctx, p)
	return sample{value: float64(after.Allocations-before.Allocations) / float64(found.Done)}, err
}

// takingPart are the processes of both sides. A driver makes its calls by itself, so that
// this one has no part in them.
func takingPart(p process) []int {
	if _, alone := p.(driver); alone {
		return p.pids()
	}
	return append(p.pids(), os.Getpid())
}

// processorTimes is what processes have used together.
func processorTimes(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		used, err := processorTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
