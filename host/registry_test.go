package host_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// rooted opens an empty nursery as the root of tree x on a host, in a registry.
func rooted(ctx context.Context, r fleet.Registry, name string, loss config.OnRegistryLoss, body func(ctx context.Context, n *host.Nursery) error) error {
	o := host.Options{Fleet: &host.Fleet{Registry: r, Tree: "x", Host: name, Listen: "", Advertise: name + ":7077", OnRegistryLoss: loss}}
	return host.OpenNursery(ctx, o, body)
}

// A second root of a tree begins when the first one has ended, and is in the registry meanwhile.
func TestD30_OneRootAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := fleet.NewMemory()
		r := memory.Client(fleet.Settings{})
		first, begun := make(chan struct{}), false
		a := task.Start(func() {
			if err := rooted(t.Context(), r, "a", "", func(context.Context, *host.Nursery) error { <-first; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		b := task.Start(func() {
			err := rooted(t.Context(), memory.Client(fleet.Settings{}), "b", "", func(ctx context.Context, _ *host.Nursery) error {
				begun = true
				e, err := r.Find(ctx, "tree/x")
				if e.Holder.Name != "b:x" || e.Holder.Address != "b:7077" {
					t.Errorf("the second root runs, and %+v holds its tree", e)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if e, err := r.Find(t.Context(), "tree/x"); begun || err != nil || e.Holder.Name != "a:x" {
			t.Errorf("while the first root runs: the second has begun: %v; held by %+v, %v", begun, e, err)
		}
		if hosts, err := r.Hosts(t.Context()); err != nil || len(hosts) != 2 {
			t.Errorf("%+v, %v; want both", hosts, err)
		}
		close(first)
		a.Wait()
		b.Wait()
		if hosts, err := r.Hosts(t.Context()); err != nil || len(hosts) != 0 || !begun {
			t.Errorf("in the end: %+v, %v; the second has begun: %v", hosts, err, begun)
		}
	})
}

// When the registry cannot be reached, the tree has ended before another root can begin.
func TestD30_TreeEndsBeforeItsNameIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := fleet.NewMemory()
		other := memory.Client(fleet.Settings{})
		b, err := other.Join(t.Context(), fleet.Host{Name: "b"})
		if err != nil {
			t.Fatal(err)
		}
		running := make(chan struct{})
		ended := make(chan error, 1)
		tree := task.Start(func() {
			ended <- rooted(t.Context(), memory.Client(fleet.Settings{}), "a", config.StopOnRegistryLoss, func(ctx context.Context, _ *host.Nursery) error {
				close(running)
				<-ctx.Done()
				return context.Cause(ctx)
			})
		})
		<-running
		memory.Cut("a:x", true)
		if _, err := fleet.WaitHold(t.Context(), other, b, "tree/x", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if lost, ok := errors.AsType[*fleet.LostError](err); !ok || !errors.Is(lost, fleet.ErrUnavailable) {
				t.Errorf("the tree ended with %v", err)
			}
		default:
			t.Error("another host has the tree, which has not ended")
		}
		tree.Wait()
	})
}

// With keep the tree goes on, and has its name again when the registry is back.
func TestD30_TreeThatIsKeptHasItsNameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := fleet.NewMemory()
		r := memory.Client(fleet.Settings{})
		err := rooted(t.Context(), memory.Client(fleet.Settings{}), "a", config.KeepOnRegistryLoss, func(ctx context.Context, _ *host.Nursery) error {
			before, err := r.Find(ctx, "tree/x")
			memory.Cut("a:x", true)
			<-time.After(time.Minute)
			if _, gone := r.Find(ctx, "tree/x"); !errors.Is(gone, fleet.ErrNotHeld) || ctx.Err() != nil {
				t.Errorf("a minute later: %v; the tree: %v", gone, ctx.Err())
			}
			memory.Cut("a:x", false)
			<-time.After(time.Second)
			after, later := r.Find(ctx, "tree/x")
			if after.Holder.Name != "a:x" || after.Epoch <= before.Epoch {
				t.Errorf("held by %+v, and before by %+v", after, before)
			}
			return errors.Join(err, later)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A root that waits ends with its ctx, and leaves.
func TestD30_WaitingRootEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := fleet.NewMemory()
		r := memory.Client(fleet.Settings{})
		a, err := r.Join(t.Context(), fleet.Host{Name: "a"})
		if err == nil {
			_, err = a.Hold(t.Context(), "tree/x")
		}
		if err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		waits := task.Start(func() {
			err := rooted(ctx, r, "b", "", func(context.Context, *host.Nursery) error {
				t.Error("two roots")
				return nil
			})
			if !errors.Is(err, stop) {
				t.Errorf("it ended with %v", err)
			}
		})
		synctest.Wait()
		cancel(stop)
		waits.Wait()
		if hosts, err := r.Hosts(t.Context()); err != nil || len(hosts) != 1 {
			t.Errorf("members in the end: %+v, %v", hosts, err)
		}
	})
}
