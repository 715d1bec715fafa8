package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// leaveWithin bounds how long a root that has ended waits until the registry knows.
const leaveWithin = 2 * time.Second

// root is the root of a tree, as a member of a registry. Its owner waits for its worker.
type root struct {
	fleet.Registry
	self  fleet.Host
	name  string
	keep  bool
	log   *slog.Logger
	hurry chan struct{} // closed when the tree must end at once
	once  sync.Once
}

// end has the tree end at once.
func (r *root) end() { r.once.Do(func() { close(r.hurry) }) }

// inRegistry runs open, which opens a nursery, while this host holds the name of the tree.
func inRegistry(ctx context.Context, o Options, open func(ctx context.Context, o Options) error) error {
	r, err := newRoot(ctx, o)
	if err != nil {
		return err
	}
	m, err := r.take(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	over, hurry := make(chan struct{}), o.Hurry
	guard := task.Start(func() { m = r.guard(ctx, m, cancel, over) })
	hurrying := task.Start(func() { // also while guard asks the registry
		select {
		case <-hurry:
			r.end()
		case <-over:
		}
	})
	defer func() {
		close(over)
		cancel(nil)
		guard.Wait()
		hurrying.Wait()
		r.leave(m)
	}()
	machines := *o.Fleet
	machines.Registry = nil
	if !r.keep {
		machines.until = m.Until
	}
	o.Fleet, o.Hurry = &machines, r.hurry
	return open(ctx, o)
}

func newRoot(ctx context.Context, o Options) (*root, error) {
	f := o.Fleet
	host, err := hostName(f.Host, f.Credentials)
	if err != nil {
		return nil, fmt.Errorf("the name of this host: %w", err)
	}
	r := &root{Registry: f.Registry, name: fleet.TreePrefix + f.Tree, keep: f.OnRegistryLoss == config.KeepOnRegistryLoss, log: logOf(ctx, o), hurry: make(chan struct{})}
	r.self = fleet.Host{Name: host + ":" + f.Tree, Address: cmp.Or(f.Advertise, f.Listen)}
	return r, fleet.CheckHold(r.name)
}

// take waits until this host holds the name.
func (r *root) take(ctx context.Context) (fleet.Membership, error) {
	for {
		m, err := r.join(ctx)
		if err != nil {
			return nil, fmt.Errorf("joining the registry: %w", err)
		}
		epoch, err := fleet.WaitHold(ctx, r, m, r.name, func(e fleet.Entry) {
			r.log.Warn("another root has the tree; this one waits until it is gone", "tree", r.name, "host", e.Holder.Name, "at", e.Holder.Address, "epoch", e.Epoch)
		})
		if err == nil {
			r.log.Info("this host has the tree", "tree", r.name, "host", r.self.Name, "epoch", epoch)
			return m, nil
		}
		lost := isClosed(m.Lost())
		r.leave(m)
		if ctx.Err() != nil || !lost {
			return nil, fmt.Errorf("holding %s: %w", r.name, err)
		}
		r.log.Warn("the registry has lost this host, which joins again", "tree", r.name, "error", err)
	}
}

// join waits, too, for an earlier process of this host, whose lease is not over yet, or which is the root that has the tree.
func (r *root) join(ctx context.Context) (fleet.Membership, error) {
	m, err := r.Join(ctx, r.self)
	if err == nil {
		return m, nil
	}
	r.log.Warn("this host is not a member of the registry yet; it tries again", "tree", r.name, "error", err)
	return fleet.WaitJoin(ctx, r, r.self)
}

// leave gives the tree back. What fails is over with the lease.
func (r *root) leave(m fleet.Membership) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	if err := m.Leave(ctx); err != nil {
		r.log.Warn("another root can have the tree only when the lease is over", "tree", r.name, "error", err)
	}
}

// guard ends the tree when the membership is lost: in order at first, and by force when half of the time is over that the
// registry leaves it. Or it joins again, and returns the membership that there is at the end.
func (r *root) guard(ctx context.Context, m fleet.Membership, end context.CancelCauseFunc, over <-chan struct{}) fleet.Membership {
	lost, force := m.Lost(), (<-chan time.Time)(nil)
	for {
		select {
		case <-over:
			return m
		case <-force:
			r.end()
			<-over
			return m
		case <-lost:
		}
		if lost = nil; !r.keep {
			end(m.Err())
			force = time.After(time.Until(m.Until()) / 2)
			continue
		}
		r.log.Error("the registry may give the tree to another root; this one goes on, and joins again", "tree", r.name, "error", m.Err())
		again, err := r.take(ctx)
		if err != nil { // the tree has ended, or the registry was closed
			r.log.Warn("this host is not a member of the registry any more", "tree", r.name, "error", err)
			continue
		}
		m, lost = again, again.Lost()
	}
}
