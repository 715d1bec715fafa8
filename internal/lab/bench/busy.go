package bench

import (
	"context"
	"errors"
	"net"
	"runtime"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/bench/socket"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// busy is the program that takes all the time that it is given, on every processor. Who
// measures well only by keeping processors to itself does not do so beside it.
const busy = "busy"

// spin keeps each processor busy until nobody listens any more.
func spin(listener net.Listener) error {
	for range runtime.NumCPU() {
		task.Start(func() {
			for { //nolint:staticcheck // it is to use all of a processor, until the process ends
			}
		})
	}
	_, err := listener.Accept()
	return err
}

// busyWorkload is a call beside a busy loop on every processor.
func busyWorkload(s sizes, callers int) *workload {
	const size = 64
	name := "call " + sizeName(size) + ", " + plural(callers, "caller") + ", beside busy loops"
	share := metric{name: "left to the loops beside " + plural(callers, "caller"), unit: Percent, more: true}
	return &workload{
		name: name, group: "busy", subjects: everyone, metrics: []metric{callMetric(name, callers, size), share},
		measure: func(ctx context.Context, l *lab, subject string) (samples []sample, err error) {
			p, err := l.one(ctx, subject)
			if err != nil {
				return nil, err
			}
			loops, err := socket.Start(l.command(busy))
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, loops.Stop()) }()
			before, err := processorTime(loops.PID())
			if err != nil {
				return nil, &unavailable{err.Error()}
			}
			begun := time.Now()
			found, err := calls(ctx, p, callers, size, s.length)
			if err != nil {
				return nil, err
			}
			after, err := processorTime(loops.PID())
			share := float64(after-before) / float64(time.Since(begun)) / float64(runtime.NumCPU())
			return []sample{timesOf(found, callers), {value: 100 * share}}, err
		},
	}
}
