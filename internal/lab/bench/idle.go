package bench

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
)

// The kinds of contexts that do nothing.
const (
	idleContext        = "idle context"
	hibernatingContext = "hibernating context"
)

// contextsWorkload opens more and more contexts that do nothing. Only ours can hibernate.
func contextsWorkload(s sizes, kind string, bound float64) *workload {
	w := &workload{name: kind + "s", group: kind + "s", subjects: []string{Trellis, Plain}}
	for _, n := range s.contexts {
		w.metrics = append(w.metrics, metric{name: "open one of " + plural(n, kind), unit: Nanoseconds, x: float64(n)})
	}
	for i, n := range s.contexts {
		m := metric{name: "memory of one of " + plural(n, kind) + ", both sides", unit: Bytes, x: float64(n)}
		if i == len(s.contexts)-1 {
			m.goals = []Goal{atMost(bound, 0)}
		}
		w.metrics = append(w.metrics, m)
	}
	w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
		p, err := able[holder](ctx, l, subject)
		if err != nil {
			return nil, err
		}
		h := p.hold(ctx)
		if p, ok := p.(hibernator); ok && kind == hibernatingContext {
			h = p.hibernate(ctx)
		}
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
		memory = append(memory, sample{value: (float64(now.Memory) - float64(before.Memory)) / float64(n)})
	}
	return times, memory, nil
}

// childrenWorkload starts more and more plugins that do nothing.
func childrenWorkload(s sizes) *workload {
	w := &workload{name: "idle children", group: "idle children", subjects: []string{Trellis, Plain}, once: true}
	for _, kind := range []struct {
		name string
		unit Unit
		goal []Goal // with the most children
	}{
		{"host memory for one of ", Bytes, []Goal{atMost(1, 0)}},
		{"host threads for one of ", Pieces, nil},
		{"CPU in a second, host and all, for one of ", Nanoseconds, []Goal{atMost(1, 0)}},
	} {
		for i, n := range s.children {
			name := "children"
			if n == 1 {
				name = "child"
			}
			m := metric{name: kind.name + grouped(n) + " idle " + name, unit: kind.unit, x: float64(n)}
			if i == len(s.children)-1 {
				m.goals = kind.goal
			}
			w.metrics = append(w.metrics, m)
		}
	}
	w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
		if _, err := threadsHere(); err != nil {
			return nil, &unavailable{err.Error()}
		}
		if err := l.stopPeers(); err != nil { // so that the idle children are the only ones
			return nil, err
		}
		before, err := observe(ctx, nil, 0)
		if err != nil {
			return nil, err
		}
		var all []process
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
			busy = append(busy, sample{value: now.busy / each})
		}
		return append(append(memory, threads...), busy...), stopMany(all)
	}
	return w
}

// startInTens starts plugins, ten at a time.
func (l *lab) startInTens(ctx context.Context, subject string, n int) (all []process, err error) {
	for n > 0 && err == nil {
		var more []process
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

func observe(ctx context.Context, children []process, length time.Duration) (observation, error) {
	memory := usage.Own().Memory
	threads, err := threadsHere()
	if err != nil {
		return observation{}, err
	}
	pids := []int{os.Getpid()}
	for _, c := range children {
		pids = append(pids, c.pids()...)
	}
	begun := time.Now()
	before, err := processorTimes(pids)
	if err != nil {
		return observation{}, err
	}
	select {
	case <-time.After(length):
	case <-ctx.Done():
		return observation{}, context.Cause(ctx)
	}
	after, err := processorTimes(pids)
	return observation{
		memory: float64(memory), threads: float64(threads),
		busy: float64(after-before) / time.Since(begun).Seconds(),
	}, err
}
