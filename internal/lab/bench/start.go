package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/measure"
)

// startWorkload is one plugin from nothing to its first answer, and to its end, each program
// built as its users build it: [host.Build] does without cgo where nobody needs it, the go
// command does not.
func startWorkload(s sizes) *workload {
	return &workload{
		name: "start to first answer, end", group: "start", subjects: []string{Trellis, Plain, NetRPC, Bare, Socket},
		metrics: []metric{
			{name: "start to first answer", unit: Nanoseconds, goals: []Goal{atMost(0.7, 0.6)}},
			{name: "end of one plugin", unit: Nanoseconds, goals: []Goal{atMost(0.9, 0)}},
		},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			return l.startAndEnd(ctx, subject, s.starts)
		},
	}
}

// pureWorkload is the same with every program built without cgo: what is left is not the
// dynamic linker's.
func pureWorkload(s sizes) *workload {
	return &workload{
		name: "start without cgo, end", group: "start", subjects: []string{Trellis, Plain, NetRPC, Bare, Socket},
		metrics: []metric{
			{name: "start to first answer, all without cgo", unit: Nanoseconds},
			{name: "end of one plugin, all without cgo", unit: Nanoseconds},
		},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			if l.carried {
				return nil, &unavailable{"the programs are built for it: run it in a clone's root folder, with the go command"}
			}
			pure := *l
			if err := pure.buildPure(ctx, subject); err != nil {
				return nil, err
			}
			return pure.startAndEnd(ctx, subject, s.starts)
		},
	}
}

// standbyWorkload is a start that finds a spare, beside the start of a go-plugin plugin, which
// has none.
func standbyWorkload(s sizes) *workload {
	m := metric{name: "start from standby to first answer", unit: Nanoseconds, goals: []Goal{atMost(0.1, 0)}}
	return &workload{
		name: "start from standby", group: "start", subjects: []string{Trellis, Plain}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			if subject == Trellis {
				return l.startFromStandby(ctx, s.starts)
			}
			both, err := l.startAndEnd(ctx, subject, s.starts)
			if err != nil {
				return nil, err
			}
			return both[:1], nil
		},
	}
}

// startAndEnd starts and ends a plugin some times.
func (l *lab) startAndEnd(ctx context.Context, subject string, times int) ([]sample, error) {
	var starts, ends []float64
	for range times {
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
	return []sample{{value: measure.Quantile(starts, 0.5)}, {value: measure.Quantile(ends, 0.5)}}, nil
}

// startAndCall starts a plugin and makes sure that it answers.
func (l *lab) startAndCall(ctx context.Context, subject string) (peer, error) {
	started, err := l.start(ctx, subject)
	if err != nil {
		return nil, err
	}
	p, ok := started.(peer)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s cannot be called", subject), started.stop())
	}
	if err := firstCall(ctx, p); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// firstCall makes sure that a plugin answers.
func firstCall(ctx context.Context, p peer) error {
	answer, err := p.call(ctx, []byte("?"))
	if err != nil {
		return err
	}
	return wrongSize(len(answer), 1)
}

// crowdWorkload starts many plugins at once, and ends them.
func crowdWorkload(s sizes) *workload {
	m := metric{name: fmt.Sprintf("%d starts at once, and ends", s.crowd), unit: Nanoseconds, goals: []Goal{atMost(0.75, 0)}}
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
