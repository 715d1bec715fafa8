package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// group is an actor of a tree with all its replicas. It is there for as long as the tree,
// however few replicas there are. Nursery.mu guards all of it but the id, which does not
// change once the first replica was added.
type group struct {
	id      int       // of its first replica
	spec    Spec      // of each replica
	portals []*Portal // by number, to those that there are to be; one that has ended by itself stays until the next scale
}

// grow adds replicas to a group. Each is a child of its own, with a path that the registry
// gives it: the first number that nobody has, which may be one below that of others. It is
// called under the lock.
func (n *Nursery) grow(g *group, count int, why string) (added []*child) {
	for range count {
		c := &child{spec: g.spec, childState: childState{group: g.id, needs: n.needsOf(g.spec)}}
		n.take(c, why)
		g.id = c.group
		g.portals = append(g.portals, newPortal(c))
		added = append(added, c)
	}
	slices.SortFunc(g.portals, func(a, b *Portal) int { return cmp.Compare(a.s.number, b.s.number) })
	return added
}

// scale has an actor of the tree have count replicas, and returns when those that were
// missing are up, and those that are too many are gone. by is who wants it, for events. All
// is decided in one change, so that of several at once the last one holds. Those that an
// earlier one has told to end, and not waited for, are waited for here: there are count
// processes when this returns without an error. What has never come up is no replica, and
// portals to it are given to nobody.
func (n *Nursery) scale(ctx context.Context, g *group, count int, by string) error {
	why := n.cancellationFor(fmt.Sprintf("scaled to %d%s", count, by))
	over, err := causeOf(ctx), error(nil)
	var added, leaving []*child
	n.update(func() {
		if err = cmp.Or(n.closedErr(), over, n.mayScale(g, count)); err == nil {
			added, leaving = n.resize(g, count, why)
		}
	})
	if err != nil {
		return err
	}
	err = fault.Join(awaitAll(ctx, added, func(*child, error) bool { return true })...)
	n.look(n.dropNeverUp)
	return fault.Join(err, awaitAllGone(ctx, leaving))
}

// resize begins to have an actor of the tree have count replicas: it gives those that are
// started for that, and all that are to end. It is called under the lock.
func (n *Nursery) resize(g *group, count int, why *cancellation) (added, leaving []*child) {
	missing, actions := n.plan.scale(g.id, count)
	for _, c := range n.children {
		if c.group == g.id && c.surplus {
			c.cancellation = cmp.Or(c.cancellation, why)
			leaving = append(leaving, c)
		}
	}
	n.carryOut(actions)
	g.portals = slices.DeleteFunc(g.portals, func(p *Portal) bool { return p.s.surplus || p.s.state == directory.Gone })
	added = n.grow(g, missing, why.Reason)
	for _, c := range added {
		c.extra = true
	}
	return added, leaving
}

// dropNeverUp forgets replicas that have not come up. It is called under the lock.
func (n *Nursery) dropNeverUp() {
	for _, g := range n.groups {
		g.portals = slices.DeleteFunc(g.portals, func(p *Portal) bool { return p.s.lastUp == nil && p.s.state == directory.Gone })
	}
}

// awaitAllGone waits until all are gone.
func awaitAllGone(ctx context.Context, children []*child) error {
	for _, c := range children {
		if err := task.Await(ctx, c.gone); err != nil {
			return err
		}
	}
	return nil
}

// mayScale is why an actor must not have that many replicas: the rules of a config file
// hold for the tree as it would be. It is called under the lock.
func (n *Nursery) mayScale(scaled *group, count int) error {
	if n.groups[scaled.spec.Name] != scaled {
		return fmt.Errorf("the actor %q was removed meanwhile", scaled.spec.Name)
	}
	if count < 0 {
		return fmt.Errorf("replicas of %q: expected 0 or more, got %d", scaled.spec.Name, count)
	}
	var would config.Tree
	for _, g := range n.groups {
		spec := g.spec
		if spec.Replicas = len(g.portals); g == scaled {
			spec.Replicas = count
		}
		would.Actors = append(would.Actors, spec)
	}
	return would.Check()
}

// awaitAll waits until each child is up, or is over, in a goroutine for each, so that the
// failure of one is known while others are still coming up. It gives the failures that
// count.
func awaitAll(ctx context.Context, children []*child, counts func(c *child, err error) bool) (failures []error) {
	var waiting task.Group
	var mu sync.Mutex
	for _, c := range children {
		waiting.Go(func() {
			if err := c.awaitUp(ctx); err != nil && counts(c, err) {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
	}
	waiting.Close()
	return failures
}

// clash is why an actor cannot have its name in this nursery: that of a foreign program is
// one of its own, as it has no identity beside it. A program that has joined keeps no actor
// from having its name. It is called under the lock.
func (n *Nursery) clash(added *child) error {
	if added.guest != nil {
		return nil
	}
	for _, c := range n.children {
		if c.guest == nil && c.spec.Name == added.spec.Name && (c.spec.GoPlugin != nil || added.spec.GoPlugin != nil) {
			return &StartError{Actor: added.spec.Name, Stage: "spec", Err: errors.New(
				"name: an actor of this nursery has it already, and one of the two is a foreign program; rename one")}
		}
	}
	return nil
}
