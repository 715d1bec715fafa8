package conform

import (
	"context"
	"iter"
	"runtime"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Result is what a transcript says of a program. Err is as from [Program.Play]; nil if the
// program does what the transcript says.
type Result struct {
	*Script
	Err error
}

// PlayAll plays transcripts, several at once, as most of their time is silence, and gives
// the results in the order of the transcripts. What has not been played when the loop is
// left, or when ctx ends, is not played any more.
func (p Program) PlayAll(ctx context.Context, all []*Script) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var workers task.Group
		defer workers.Wait()
		defer cancel()
		results := make([]chan Result, len(all))
		todo := make(chan int, len(all))
		for i := range all {
			results[i] = make(chan Result, 1)
			todo <- i
		}
		close(todo)
		for range 4 * runtime.GOMAXPROCS(0) {
			workers.Go(func() {
				for i := range todo {
					err := context.Cause(ctx)
					if err == nil {
						err = p.Play(ctx, all[i])
					}
					results[i] <- Result{all[i], err}
				}
			})
		}
		for _, result := range results {
			if r := <-result; ctx.Err() != nil || !yield(r) {
				return
			}
		}
	}
}
