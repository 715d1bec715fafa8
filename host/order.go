package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// order is the task of [wire.Order], by which the people who run a host end, restart and scale its actors.
func (g *guest) order(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	r, err := requested(d, "order")
	if err != nil {
		return nil, err
	}
	return nil, g.host.obey(ctx, d.Peer(), r)
}

// requested is the argument of [wire.Order] and [wire.Describe], whichever what says.
func requested(d *dialog.Dialog, what string) (r wire.OrderRequest, err error) {
	if err := wire.CBOR.Unmarshal(d.Args(), &r); err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	return r, nil
}

// describe is the task of [wire.Describe].
func (g *guest) describe(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	r, err := requested(d, "describe")
	if err != nil {
		return nil, err
	}
	c, err := g.host.named(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	p := newPortal(c)
	return proto.Marshal(&wire.BootResponse{Self: wire.FromID(p.ID()), Endpoints: p.endpoints()})
}

// obey ends or restarts a child, or scales an actor, because somebody who has joined wants it, and returns when that
// is done.
func (n *Nursery) obey(ctx context.Context, by actor.ID, r wire.OrderRequest) error {
	if r.Replicas != nil {
		return n.obeyScale(ctx, by, r.Name, *r.Replicas)
	}
	c, err := n.named(ctx, r.Name)
	if err != nil {
		return err
	}
	if r.Restart {
		return c.restart(ctx, &cancellation{Canceller: n.env.self, Reason: "restarted by " + by.Name})
	}
	if err := newPortal(c).Cancel(ctx, "cancelled by "+by.Name); err != nil && !errors.Is(err, fault.ErrActorTooSlow) {
		return err // one that is too slow is being ended with force
	}
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *Nursery) obeyScale(ctx context.Context, by actor.ID, name string, count int) error {
	var g *group
	n.look(func() { g = n.groups[name] })
	if g != nil {
		return n.scale(ctx, g, count, " by "+by.Name)
	}
	if _, err := n.named(ctx, name); err != nil {
		return err
	}
	return fmt.Errorf("%s cannot be scaled: expected the name of an actor that the tree of this host describes, without the number of a replica", words.Quote(name))
}

// named is the only child of a name, or the one at a path. The path of the first of several is their name, and so
// that is said with #1. Programs that have joined are beside actors of the tree as in [directory.Find].
func (n *Nursery) named(ctx context.Context, name string) (*child, error) {
	var found, guests []*child
	n.look(func() {
		for _, c := range n.children {
			switch path := c.member.Path(); {
			case c.guest != nil:
				if path == name || c.spec.Name == name && len(guests) == 0 {
					guests = []*child{c}
				}
			case path == name && path != c.spec.Name || path+"#1" == name:
				found = []*child{c}
				return
			case c.spec.Name == name:
				found = append(found, c)
			}
		}
	})
	if len(found) == 0 {
		found = guests
	}
	switch entries, err := n.env.registry.Entries(ctx, name); {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("there are %d actors named %s; say which by its path, or %s#1 for the first one", len(found), words.Quote(name), name)
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, fmt.Errorf("%w: %s is hosted by another actor, which alone ends, restarts and scales it", directory.ErrNotReachable, entries[0].Path)
	}
	return nil, fmt.Errorf("%w: %s", directory.ErrNotFound, words.Quote(name))
}

// errAskedToEnd is why a child is over that has not failed.
var errAskedToEnd = errors.New("it was asked to end")

// restart ends the child's process, and returns when another one is up.
func (c *child) restart(ctx context.Context, why *cancellation) error {
	if c.guest != nil {
		return fmt.Errorf("%s has joined by itself, and cannot be started again from here", c.member.Path())
	}
	var before *incarnation
	c.n.update(func() {
		before, c.again = c.lastUp, why
		c.n.carryOut(c.n.plan.restart(c.id))
	})
	for {
		var now *incarnation
		var over bool
		var changed <-chan struct{}
		c.n.look(func() { now, over, changed = c.lastUp, c.state == directory.Gone, c.n.change() })
		switch {
		case now != before:
			return nil
		case over:
			return fmt.Errorf("%s has ended, and is not started again: %w", c.member.Path(), cmp.Or(c.err, errAskedToEnd))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
