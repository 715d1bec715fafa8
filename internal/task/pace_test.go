package task_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// A loop to which little comes does not rest. One to which much comes looks every 20 ms, and not later than it is told to.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(task.Unhurried(t.Context()))
		pace, hasty := task.PaceOf(ctx), task.PaceOf(t.Context())
		rested := func(early <-chan struct{}) time.Duration {
			began := time.Now()
			pace.Rest(ctx, early)
			return time.Since(began)
		}
		want := func(d time.Duration, early <-chan struct{}, what string) {
			t.Helper()
			if got := rested(early); got != d {
				t.Errorf("%s, it rests for %v, want %v", what, got, d)
			}
		}
		enough := make(chan struct{})
		close(enough)
		for range 2 {
			for range 16 {
				want(0, nil, "as long as there are few")
			}
			for range 100 {
				hasty.Rest(ctx, nil)
				want(20*time.Millisecond, nil, "when many come")
			}
			for range 100 {
				want(0, enough, "when it is told to look")
			}
			want(20*time.Millisecond, nil, "after many looks at once")
			for range 100 {
				time.Sleep(21 * time.Millisecond)
				want(0, nil, "when fewer come")
			}
			time.Sleep(time.Second)
		}
		for range 17 {
			pace.Rest(ctx, enough)
		}
		cancel()
		want(0, nil, "when its ctx has ended")
	})
}
