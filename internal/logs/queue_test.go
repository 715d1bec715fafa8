package logs_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/logs"
)

// What does not fit is dropped; how much that was is reported behind what came before it.
// Nothing is taken after Close, and what waits is handed on all the same.
func TestQueueIsBoundedAndReportsItsLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		free := make(chan struct{})
		q := logs.NewQueue(10, func(v int) {
			<-free
			got = append(got, v)
		}, func(n int) { got = append(got, -n) })
		q.Put(1, 8)
		synctest.Wait() // it has been taken, and hangs
		q.Put(2, 6)
		q.Put(3, 6)
		q.Put(4, 4)
		q.Put(5, 1)
		q.Close()
		q.Put(6, 1)
		select {
		case <-q.Idle():
			t.Error("idle while something waits")
		default:
		}
		close(free)
		<-q.Idle()
		if want := []int{1, 2, 4, -2}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
