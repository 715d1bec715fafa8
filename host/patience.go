package host

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// mostPatience is how many times its bound a health check may take on a machine that
// does not let the child run.
const mostAnswerBounds = 10

// answerBound bounds the answer to a health check by the time in which the child could have
// given it. Slow is not dead: what the child waits for a processor does not count, nor
// does what this process itself comes late. It owns a goroutine, until stop.
func (i *incarnation) answerBound(bound time.Duration) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	worker := task.Start(func() {
		if waited, ok := answerBoundOver(ctx, bound, i.proc.Load().Starved); ok {
			cancel(fmt.Errorf("no answer within %v", waited))
		}
	})
	return ctx, func() {
		cancel(nil)
		worker.Wait()
	}
}

// answerBoundOver returns when the bound is over, and reports false if ctx ended before. starved is how
// long the child has waited for a processor so far. Most answers come at once, so that
// it is not asked before half of the bound is over.
func answerBoundOver(ctx context.Context, bound time.Duration, starved func() time.Duration) (waited time.Duration, ok bool) {
	begun := time.Now()
	if _, ok := pausesFor(ctx, bound/2); !ok {
		return 0, false
	}
	before := starved()
	for left := bound - bound/2; ; {
		late, ok := pausesFor(ctx, left)
		if !ok {
			return 0, false
		}
		now := starved()
		left = min(left, late+now-before)
		before, waited = now, time.Since(begun)
		if left < bound/100 || waited >= mostAnswerBounds*bound {
			return max(bound, waited.Round(bound)), true
		}
	}
}

// pausesFor waits, and says how late it comes back; it reports false if ctx ended before.
func pausesFor(ctx context.Context, d time.Duration) (late time.Duration, ok bool) {
	due := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Since(due), true
	case <-ctx.Done():
		return 0, false
	}
}
