package contract_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// crowd is a Func whose tasks count how many of them run, until each is let go.
type crowd struct {
	now, most, all atomic.Int64
	gate           chan struct{}
	handler        contract.Handler
}

var stand = contract.Func[none, none]("stand")

func newCrowd(n int) *crowd {
	c := &crowd{gate: make(chan struct{})}
	c.handler = stand.Handle(func(ctx context.Context, _ none) (none, error) {
		c.all.Add(1)
		c.most.Store(max(c.most.Load(), c.now.Add(1)))
		defer c.now.Add(-1)
		select {
		case <-c.gate:
			return none{}, nil
		case <-ctx.Done():
			return none{}, ctx.Err()
		}
	}).Concurrent(n)
	return c
}

// joining calls until all that can run do.
func joining(ctx context.Context, p contract.Portal, n int) <-chan error {
	ends := make(chan error, n)
	for range n {
		task.Start(func() { _, err := stand.Call(ctx, p, none{}); ends <- err })
	}
	synctest.Wait()
	return ends
}

// At most n run at once for one caller, all come to their turn, and another caller, or another
// endpoint, is not held up.
func TestF06_ConcurrentBoundsWhatRunsForOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(3)
		free := contract.Func[none, string]("free")
		p := pair.Serve(t, crowd.handler, free.Handle(func(context.Context, none) (string, error) { return "free", nil }))
		q := pair.Serve(t, crowd.handler)
		ends := joining(t.Context(), p, 10)
		if n := crowd.now.Load(); n != 3 {
			t.Errorf("%d run for one caller, want 3", n)
		}
		others := joining(t.Context(), q, 5)
		if n := crowd.now.Load(); n != 6 {
			t.Errorf("%d run for two callers, want 6", n)
		}
		if name, err := free.Call(t.Context(), p, none{}); name != "free" || err != nil {
			t.Errorf("another endpoint: %q, %v", name, err)
		}
		for range 10 + 5 {
			crowd.gate <- struct{}{}
			synctest.Wait()
		}
		for range 10 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
		for range 5 {
			if err := <-others; err != nil {
				t.Error(err)
			}
		}
		if most, all := crowd.most.Load(), crowd.all.Load(); most != 6 || all != 15 {
			t.Errorf("%d have run, at most %d at once", all, most)
		}
	})
}

// One that waits to begin is cancelled at once, or ends with its deadline, and does not run; those
// that run are not told, and one that ends in any way makes room.
func TestF06_ConcurrentTasksThatWaitCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(1)
		p := pair.Serve(t, crowd.handler)
		why := errors.New("enough")
		firstCtx, first := context.WithCancelCause(t.Context())
		running := joining(firstCtx, p, 1)
		waitCtx, stop := context.WithCancelCause(t.Context())
		waiting := joining(waitCtx, p, 3)
		limited, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		late := joining(limited, p, 1)
		began := time.Now()
		stop(why)
		for range 3 {
			if err := <-waiting; !errors.Is(err, why) {
				t.Errorf("one that waited: %v", err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("they were told, and went on for %v", took)
		}
		if err := <-late; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one with a deadline: %v", err)
		}
		if len(running) != 0 || crowd.all.Load() != 1 {
			t.Errorf("%d have run, and the first has ended: %t", crowd.all.Load(), len(running) > 0)
		}
		last := joining(t.Context(), p, 1)
		first(why)
		if err := <-running; !errors.Is(err, why) {
			t.Errorf("the first: %v", err)
		}
		crowd.gate <- struct{}{}
		if err := <-last; err != nil || crowd.all.Load() != 2 {
			t.Errorf("the last: %v; %d have run", err, crowd.all.Load())
		}
	})
}

// The last word counts, and a number that lets none run is refused where the Handler is served.
func TestF06_ConcurrentNumbers(t *testing.T) {
	for _, n := range []int{0, -1} {
		_, err := endpoint.Expose(actor.NewID("x"), newCrowd(n).handler)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf(`endpoint "stand": Concurrent(%d)`, n)) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if _, err := endpoint.Expose(actor.NewID("x"), contract.Handler{}.Concurrent(1)); err == nil {
		t.Error("a handler without an endpoint is served")
	}
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(1)
		ends := joining(t.Context(), pair.Serve(t, crowd.handler.Concurrent(4)), 9)
		if n := crowd.now.Load(); n != 4 {
			t.Errorf("%d run, want 4", n)
		}
		close(crowd.gate)
		for range 9 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
	})
}
