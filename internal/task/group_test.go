package task_test

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/task"
)

func TestGroupClosesWhenAllHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g task.Group
		gate := make(chan struct{})
		for range 3 {
			if !g.Go(func() { <-gate }) {
				t.Fatal("an open group refused work")
			}
		}
		closed := task.Start(g.Close)
		synctest.Wait()
		select {
		case <-closed.Done():
			t.Fatal("Close returned while three goroutines ran")
		default:
		}
		if g.Go(func() {}) {
			t.Fatal("a closing group accepted work")
		}
		close(gate)
		closed.Wait()
	})
}

func TestGroupGoroutineMayStartAnother(t *testing.T) {
	var g task.Group
	ran := make(chan int, 2)
	g.Go(func() {
		ran <- 1
		g.Go(func() { ran <- 2 })
	})
	if a, b := <-ran, <-ran; a != 1 || b != 2 {
		t.Fatalf("ran %d, %d; want 1, 2", a, b)
	}
	g.Close()
}

func TestGroupCountsAGoroutineThatExits(*testing.T) {
	var g task.Group
	g.Go(runtime.Goexit)
	g.Close() // hangs if the count was not taken back
}

func TestIdleGroupIsIdleAtOnce(*testing.T) {
	var g task.Group
	<-g.Idle()
	g.Wait()
	g.Close()
}

// What Keep has kept counts until what Resume starts has ended, also once the group refuses work.
func TestGroupWaitsForWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g task.Group
		g.Go(g.Keep)
		synctest.Wait()
		closed := task.Start(g.Close)
		synctest.Wait()
		select {
		case <-closed.Done():
			t.Fatal("Close returned while something was kept")
		default:
		}
		ran := false
		g.Resume(func() { ran = true })
		closed.Wait()
		if !ran {
			t.Error("what was resumed did not run")
		}
	})
}
