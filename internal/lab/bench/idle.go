package bench

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// contextsWorkload opens more and more contexts that do nothing.
func contextsWorkload(s sizes) *workload {
	w := &workload{name: "idle contexts", group: "idle contexts", subjects: []string{Trellis, Plain}}
	for _, n := range s.contexts {
		w.metrics = append(w.metrics, metric{name: "open one of " + plural(n, "idle context"), unit: Nanoseconds, x: float64(n)})
	}
	for i, n := range s.contexts {
		m := metric{name: "memory of one of " + plural(n, "idle context") + ", both sides", unit: Bytes, x: float64(n)}
		if i == len(s.contexts)-1 {
			m.goals = []Goal{atMost(0.3, 0), within(8<<10, 0)}
		}
		w.metrics = append(w.metrics, m)
	}
	w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
		p, err := one[holder](ctx, l, subject)
		if err != nil {
			return nil, err
		}
		h := p.hold(ctx)
		times, memory, err := growContexts(ctx, p, h, s.contexts)
		return append(times, memory...), errors.Join(err, h.release())
	}
	return w
}

func growContexts(ctx context.Context, p any, h holding, counts []int) (times, memory []sample, err error) {
	before, err := bothSides(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	have := 0
	for _, n := range counts {
		begun := time.Now()
		if err := h.grow(n - have); err != nil {
			return nil, nil, err
		}
		times = append(times, sample{value: float64(time.Since(begun)) / float64(n-have)})
		have = n
		now, err := bothSides(ctx, p)
		if err != nil {
			return nil, nil, err
		}
		memory = append(memory, sample{value: (float64(now.memory) - float64(before.memory)) / float64(n)})
	}
	return times, memory, nil
}

// childrenWorkload starts more and more plugins that do nothing.
func childrenWorkload(s sizes) *workload {
	w := &workload{name: "idle children", group: "idle children", subjects: []string{Trellis, Plain}, once: true}
	for _, kind := range []struct {
		name string
		unit Unit
	}{
		{"host memory for one of ", Bytes}, {"host threads for one of ", Pieces}, {"CPU in a second, host and all, for one of ", Nanoseconds},
	} {
		for _, n := range s.children {
			name := "children"
			if n == 1 {
				name = "child"
			}
			w.metrics = append(w.metrics, metric{name: kind.name + grouped(n) + " idle " + name, unit: kind.unit, x: float64(n)})
		}
	}
	w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
		if _, err := readProcess(0); err != nil {
			return nil, &unavailable{"threads and CPU time of processes can be read on Linux only, this is " + runtime.GOOS}
		}
		before, err := observe(ctx, nil, s.idle)
		if err != nil {
			return nil, err
		}
		var all []peer
		var memory, threads, busy []sample
		for _, n := range s.children {
			more, err := l.startInTens(ctx, subject, n-len(all))
			all = append(all, more...)
			if err != nil {
				return nil, errors.Join(err, stopMany(all))
			}
			now, err := observe(ctx, all, s.idle)
			if err != nil {
				return nil, errors.Join(err, stopMany(all))
			}
			each := float64(n)
			memory = append(memory, sample{value: (now.memory - before.memory) / each})
			threads = append(threads, sample{value: (now.threads - before.threads) / each})
			busy = append(busy, sample{value: max(0, now.busy-before.busy) / each})
		}
		return append(append(memory, threads...), busy...), stopMany(all)
	}
	return w
}

// startInTens starts plugins, ten at a time.
func (l *lab) startInTens(ctx context.Context, subject string, n int) (all []peer, err error) {
	for n > 0 && err == nil {
		var more []peer
		more, err = l.startMany(ctx, subject, min(n, 10))
		all = append(all, more...)
		n -= 10
	}
	return all, err
}

// observation is what the host has, and what it and its children do.
type observation struct {
	memory, threads float64
	busy            float64 // nanoseconds of CPU in a second
}

func observe(ctx context.Context, children []peer, length time.Duration) (observation, error) {
	memory := ownConsumption().memory
	before, threads, err := processorTime(children)
	if err != nil {
		return observation{}, err
	}
	begun := time.Now()
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return observation{}, context.Cause(ctx)
	}
	after, _, err := processorTime(children)
	return observation{
		memory: float64(memory), threads: float64(threads),
		busy: float64(after-before) / time.Since(begun).Seconds(),
	}, err
}

// processorTime is what this process and its children have used, and how many threads
// this process has.
func processorTime(children []peer) (used time.Duration, threads int, err error) {
	own, err := readProcess(0)
	if err != nil {
		return 0, 0, err
	}
	used = own.used
	for _, c := range children {
		theirs, err := readProcess(c.pid())
		if err != nil {
			return 0, 0, err
		}
		used += theirs.used
	}
	return used, own.threads, nil
}

// processState is what the system says of a process.
type processState struct {
	used    time.Duration // of CPU
	threads int
}
