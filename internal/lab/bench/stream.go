package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/usage"
	"github.com/seed-2ba35074/trellis/internal/task"
)

const (
	oneWay   = "one way"
	twoWay   = "to the plugin and back"
	borrowed = ", borrowed"
)

// meter counts messages, and says when it has seen enough of them. The first tenth of
// the time is not counted.
type meter struct {
	length time.Duration
	step   int // messages between two looks at the clock
	seen   int
	warm   time.Time // when counting begins
	begun  time.Time // when it has begun
	ended  time.Time
	first  int // messages before begun
}

func newMeter(length time.Duration, size int) *meter {
	return &meter{length: length, step: max(1, min(64, (64<<10)/max(1, size))), warm: time.Now().Add(length / 10)}
}

// more counts a message, and reports whether another one is wanted.
func (m *meter) more() bool {
	if m.seen++; m.seen%m.step != 0 {
		return true
	}
	now := time.Now()
	switch {
	case !m.begun.IsZero() && now.Sub(m.begun) >= m.length:
		m.ended = now
		return false
	case m.begun.IsZero() && now.After(m.warm):
		m.begun, m.first = now, m.seen
	}
	return true
}

// rate is messages a second.
func (m *meter) rate() float64 { return float64(m.seen-m.first) / m.ended.Sub(m.begun).Seconds() }

// streamWorkload is a stream of messages of one size, under flow control.
func streamWorkload(s sizes, way string, size int) *workload {
	rate := streamMetric("stream "+sizeName(size)+", "+way, size)
	rate.goals = streamGoals(way, size)
	w := &workload{name: rate.name, group: "stream, " + way, subjects: []string{Trellis, Plain, Bare, Socket}}
	if way == oneWay && size == 64 {
		allocations := metric{name: "allocations for a message of " + sizeName(size) + ", both sides", unit: Pieces, goals: []Goal{within(0.1, 0)}, except: Socket}
		w.metrics = append(w.metrics, rate, allocations)
		w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			return pourAndCount(ctx, l, subject, size, s.length)
		}
		return w
	}
	w.metrics = []metric{rate}
	w.measure = func(ctx context.Context, l *lab, subject string) ([]sample, error) {
		p, err := l.one(ctx, subject)
		if err != nil {
			return nil, err
		}
		perSecond, err := flow(ctx, p, way, size, s.length)
		return []sample{rate.rated(perSecond)}, err
	}
	return w
}

// streamMetric is how many messages a stream has in a second, or how many bytes if they are large.
func streamMetric(name string, size int) metric {
	m := metric{name: name, unit: PerSecond, more: true, x: float64(size)}
	if size >= 64<<10 {
		m.unit = BytesPerSecond
	}
	return m
}

// rated is the sample of so many messages a second.
func (m metric) rated(perSecond float64) sample {
	if m.unit == BytesPerSecond {
		perSecond *= m.x
	}
	return sample{value: perSecond}
}

// streamGoals are those of a stream. What is received belongs to the receiver, if it is not borrowed.
func streamGoals(way string, size int) []Goal {
	switch {
	case way == oneWay && size == 64:
		return []Goal{atLeast(6, 10)}
	case way == oneWay && size == 64<<10:
		return []Goal{atLeast(2.5, 0)}
	case way == oneWay+borrowed && size == 64<<10:
		return []Goal{atLeast(5, 8)}
	case way == oneWay && size == 1<<20:
		return []Goal{atLeast(4, 0)}
	case way == twoWay && size == 1<<20:
		return []Goal{atLeast(3, 0)}
	}
	return nil
}

func flow(ctx context.Context, p process, way string, size int, length time.Duration) (_ float64, err error) {
	way, lent := strings.CutSuffix(way, borrowed)
	var from any = p
	if ours, ok := p.(*trellisPeer); ok && lent {
		from = borrower{ours}
	}
	m := newMeter(length, size)
	if p, ok := from.(pourer); ok && way == oneWay {
		err = p.pour(ctx, size, m.more)
		return m.rate(), err
	}
	if p, ok := from.(echoer); ok && way == twoWay {
		err = p.echo(ctx, make([]byte, size), m.more)
		return m.rate(), err
	}
	return 0, fmt.Errorf("a %T cannot do this", p)
}

// pourAndCount measures a one-way stream, and what both processes allocate meanwhile.
func pourAndCount(ctx context.Context, l *lab, subject string, size int, length time.Duration) ([]sample, error) {
	p, err := able[pourer](ctx, l, subject)
	if err != nil {
		return nil, err
	}
	before, err := bothSides(ctx, p)
	if err != nil {
		return nil, err
	}
	m := newMeter(length, size)
	if err := p.pour(ctx, size, m.more); err != nil {
		return nil, err
	}
	after, err := bothSides(ctx, p)
	return []sample{{value: m.rate()}, {value: float64(after.Allocations-before.Allocations) / float64(m.seen)}}, err
}

// bothSides is what host and plugin have together. A plugin that cannot tell has
// nothing.
func bothSides(ctx context.Context, p any) (usage.Consumption, error) {
	var theirs usage.Consumption
	if c, ok := p.(consumer); ok {
		var err error
		if theirs, err = c.use(ctx); err != nil {
			return usage.Consumption{}, err
		}
	}
	own := usage.Own()
	return usage.Consumption{Memory: own.Memory + theirs.Memory, Allocations: own.Allocations + theirs.Allocations}, nil
}

// fanWorkload is many plugins that stream to the host at once.
func fanWorkload(s sizes) *workload {
	const size = 64
	m := metric{name: fmt.Sprintf("fan-in of %d plugins, %s", s.fan, sizeName(size)), unit: PerSecond, more: true}
	return &workload{
		name: m.name, group: "fan-in", subjects: []string{Trellis, Plain, Bare, Socket}, metrics: []metric{m},
		measure: func(ctx context.Context, l *lab, subject string) ([]sample, error) {
			all, err := l.some(ctx, subject, s.fan)
			if err != nil {
				return nil, err
			}
			meters, errs := make([]*meter, len(all)), make([]error, len(all))
			each(len(all), func(i int) {
				meters[i] = newMeter(s.length, size)
				if p, ok := all[i].(pourer); ok {
					errs[i] = p.pour(ctx, size, meters[i].more)
				}
			})
			if err := errors.Join(errs...); err != nil {
				return nil, err
			}
			sum := 0.0
			for _, m := range meters {
				sum += m.rate()
			}
			return []sample{{value: sum}}, nil
		},
	}
}

// saturated runs body while a stream is as full as it gets, both ways.
func saturated(ctx context.Context, p echoer, body func(ctx context.Context) error) error {
	const full = 500 // messages that have come back
	var enough atomic.Bool
	running := make(chan struct{})
	var once sync.Once
	var failed error
	seen := 0
	stream := task.Start(func() {
		defer once.Do(func() { close(running) })
		failed = p.echo(ctx, make([]byte, 4<<10), func() bool {
			if seen++; seen == full {
				once.Do(func() { close(running) })
			}
			return !enough.Load()
		})
	})
	<-running
	err := body(ctx)
	enough.Store(true)
	stream.Wait()
	return errors.Join(err, failed)
}
