package trellistest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var (
	price = contract.Func[string, int]("price")
	buy   = contract.Func[string, string]("buy")
)

// The programs of testdata/shop.yaml.
func shop() []trellistest.Plugin {
	return []trellistest.Plugin{
		{Name: "catalog", Endpoints: []contract.Handler{
			price.Handle(func(_ context.Context, article string) (int, error) { return len(article), nil }),
		}},
		{Name: "counter", Endpoints: []contract.Handler{
			buy.Handle(func(_ context.Context, article string) (string, error) { return article + ", here you are", nil }),
		}},
	}
}

// This is the example of docs/testing.md: the tree of a file, and what becomes of it when one
// of its actors dies, and when one hangs.
func TestShop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, trellistest.File(t, "testdata/shop.yaml"), shop()...)
		h.WantEvents(trellistest.Started("catalog"), trellistest.Started("counter"))

		h.Process("catalog").Die(2)
		h.WantEvents(trellistest.Ended("catalog", directory.Crashed), trellistest.Started("catalog"))
		if n, err := price.Call(t.Context(), h.Portal("catalog"), "pear"); n != 4 || err != nil {
			t.Errorf("%d, %v", n, err)
		}

		h.Process("counter").Freeze()
		h.WantEvents(
			trellistest.Unhealthy("counter"), trellistest.Unhealthy("counter"), trellistest.Unhealthy("counter"),
			trellistest.Forced("counter", "SIGTERM"), trellistest.Forced("counter", "SIGKILL"),
			trellistest.Ended("counter", directory.Sick), trellistest.Ended("catalog", directory.Requested),
		)
		if err := h.Wait(); !errors.Is(err, fault.ErrActorLost) {
			t.Errorf("the tree ended with %v", err)
		}
	})
}

// A host program of one's own is tested the same way: it gets its ctx from the test.
func TestProgramOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, shop()...)
		err := host.OpenNursery(programs.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			catalog, err := n.Start(ctx, host.Spec{Name: "catalog", Command: []string{"/usr/lib/shop/catalog"}})
			if err != nil {
				return err
			}
			time.AfterFunc(time.Hour, func() { programs.Process("catalog").Die(1) })
			<-catalog.Done()
			return nil
		})
		if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ExitCode != 1 {
			t.Errorf("the nursery ended with %v", err)
		}
	})
}
