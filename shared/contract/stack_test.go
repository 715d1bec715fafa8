//go:build !race

package contract_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Contexts that wait have 4 KiB of stack on each side: the collector does not leave them more as long as less than some
// 1.2 KiB of it are in use. (The race detector's functions need more.)
func TestStacksOfContextsThatWait(t *testing.T) {
	waits := contract.Context[int, int, int, int, int]("waits")
	p := pair.Serve(t, waits.Handle(func(ctx context.Context, i int, c *contract.Callee[int, int, int]) (int, error) {
		err := c.Started(i)
		<-ctx.Done()
		return 0, errors.Join(err, context.Cause(ctx))
	}))
	const n, most = 500, 10 << 10
	before := stacks()
	ctx, cancel := context.WithCancel(t.Context())
	var scopes task.Group
	began := make(chan struct{}, n)
	for i := range n {
		scopes.Go(func() {
			_, err := waits.Open(ctx, p, i, func(ctx context.Context, _ *contract.Opener[int, int, int, int]) error {
				began <- struct{}{}
				<-ctx.Done()
				return context.Cause(ctx)
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("context %d: %v", i, err)
			}
		})
	}
	for range n {
		<-began
	}
	each := 0
	for range 10 { // each collection takes half of a stack at most
		if each = (stacks() - before) / n; each <= most {
			break
		}
	}
	if each > most {
		t.Errorf("%d bytes of stack for a context, both sides together, want %d at most", each, most)
	}
	cancel()
	scopes.Close()
}

// stacks are bytes in use, garbage collected.
func stacks() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
