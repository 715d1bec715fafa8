// Package measure times operations. It is what the benchmarks share with a program that
// has to time its own: the client of a library that this module does not depend on.
package measure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Found is what a number of callers have found, each of whom calls again and again.
type Found struct {
	P50, P99 float64 // of the time that one operation takes, in nanoseconds
	Rate     float64 // of all callers, operations a second
	Done     int     // operations, with those that are not counted
}

// Calls runs op for a time, from each of a number of callers. The first tenth of the time
// is not counted.
func Calls(ctx context.Context, callers int, length time.Duration, op func(ctx context.Context) error) (Found, error) {
	var done atomic.Int64
	var mu sync.Mutex
	var all []float64
	var failed error
	counting := func(ctx context.Context) error {
		done.Add(1)
		return op(ctx)
	}
	call := func() {
		took, err := latencies(ctx, length, counting)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, took...)
		if err != nil {
			failed = err
		}
	}
	if callers == 1 {
		call()
	} else {
		var group task.Group
		for range callers {
			group.Go(call)
		}
		group.Close()
	}
	// Each caller is busy all the time: their number and the length of a call make the rate.
	return Found{Quantile(all, 0.5), Quantile(all, 0.99), float64(callers) / mean(all) * 1e9, int(done.Load())}, failed
}

// latencies runs op again and again, and returns how long each one took in nanoseconds.
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
