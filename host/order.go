package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// mostOrders is how many orders of one program are under way at once; others wait to begin. Each
// has a dialog with the host of whom it is about, and some wait for long.
const mostOrders = 16

// order is the task of [wire.Order], by which the people who run a host end and restart its
// actors, and those that these host.
func (g *guest) order(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	if err := d.Enter(mostOrders); err != nil {
		return nil, err
	}
	r, err := route.Ordered(d)
	if err != nil {
		return nil, err
	}
	if r.Do == wire.OrderApply { // the answer has what is secret, and is for hosts alone
		return nil, fmt.Errorf("%w: only a host orders %s", fault.ErrNotAllowed, r.Do)
	}
	at, _ := g.host.env.router.Down.Where(d.Peer())
	r.By = cmp.Or(at, d.Peer().String())
	return g.host.order(ctx, r)
}

// order has an order carried out about an actor below this one, by a name or a path, or, if it only asks, about this one itself.
// A restart by a name is one of each replica, one after the other, so that the others go on serving.
func (n *Nursery) order(ctx context.Context, r wire.OrderRequest) (answer []byte, err error) {
	paths := []string{r.Path}
	if r.Path == "" && (r.Name != "" || !r.Asks()) {
		if paths, err = n.meant(ctx, r); err != nil {
			return nil, err
		}
	}
	for i, path := range paths {
		r.Path = path
		if answer, err = n.orderAt(ctx, r); err != nil && len(paths) > 1 {
			err = fmt.Errorf("of %d replicas %d were started again, and then not %s: %w", len(paths), i, path, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// orderAt has an order carried out about the actor at its path.
func (n *Nursery) orderAt(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	switch here := n.env.registry.Path(); {
	case r.Asks() && (r.Path == "" || r.Path == here):
		return inspect.Encode(n.env.inspect(r.Do))
	case !n.env.router.Down.Has(r.Path):
		return nil, fmt.Errorf("%w: %s is not below this host, %s", directory.ErrNotReachable, r.Path, cmp.Or(here, n.env.self.Name))
	}
	return n.env.router.Order(ctx, r)
}

// meant are the paths of whom an order means by a name: of one actor, or of all replicas of one that is to be started
// again. That of an actor with all its replicas is also known, and meant, while there are none.
func (n *Nursery) meant(ctx context.Context, r wire.OrderRequest) (paths []string, err error) {
	if r.Do == wire.OrderScale && strings.ContainsAny(r.Name, "/#") {
		return []string{r.Name}, nil
	}
	entries, err := n.env.registry.Entries(ctx, "")
	if err != nil {
		return nil, err
	}
	var own bool
	n.look(func() { own = n.groups[r.Name] != nil })
	if own && r.Do == wire.OrderScale {
		return []string{treepath.Join(n.env.registry.Path(), r.Name)}, nil
	}
	among, all := entries, r.Do == wire.OrderRestart && !strings.Contains(treepath.Last(r.Name), "#")
	if all || r.Do == wire.OrderScale {
		among = grouped(entries)
	}
	path, err := meant(among, r.Name)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		text, failed := n.env.registry.Missing(ctx, r.Name)
		return nil, cmp.Or(failed, fmt.Errorf("%w: %s", err, text))
	case err == nil && all:
		return replicas(entries, path), nil
	}
	return []string{path}, err
}

// replicas are the paths of those that share one but for their numbers, which are their order. Programs that have joined
// beside actors of the tree are not among them.
func replicas(entries []directory.Entry, path string) (paths []string) {
	for _, e := range entries {
		if e.State != directory.Standby && !e.Last.Joined && treepath.Unnumbered(e.Path) == path {
			paths = append(paths, e.Path)
		}
	}
	if len(paths) == 0 {
		return []string{path}
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(treepath.Number(a), treepath.Number(b)) })
	return paths
}

// grouped has one entry for all replicas of an actor, with the path of the first one.
func grouped(entries []directory.Entry) (groups []directory.Entry) {
	for _, e := range entries {
		e.Path = treepath.Join(treepath.Host(e.Path), e.Actor.Name)
		if e.State != directory.Standby && !slices.ContainsFunc(groups, func(g directory.Entry) bool { return g.Path == e.Path }) {
			groups = append(groups, e)
		}
	}
	return groups
}

// meant is the path of the only actor of a name, or of the one at a path. The path of the first of
// several beside each other is their name, and so that is said with #1. Programs that have joined,
// and what they host, are beside actors of the tree as in [directory.Find].
func meant(entries []directory.Entry, text string) (path string, err error) {
	var named, guests []string
	for _, e := range entries {
		switch {
		case e.State == directory.Standby:
		case text != e.Actor.Name && treepath.Is(e.Path, text):
			return e.Path, nil
		case text == e.Actor.Name && e.Last.Joined:
			guests = append(guests, e.Path)
		case text == e.Actor.Name:
			named = append(named, e.Path)
		}
	}
	if len(named) == 0 {
		named = guests
	}
	first := slices.Index(named, text)
	beside := slices.IndexFunc(named, func(path string) bool { return path != text && treepath.Host(path) == "" })
	switch {
	case len(named) == 1:
		return named[0], nil
	case first >= 0 && beside < 0: // the others are deeper, and are shown with other paths
		return text, nil
	case first >= 0:
		named[first] += "#1"
	case len(named) == 0:
		return "", directory.ErrNotFound
	}
	return "", fmt.Errorf("there are %d actors named %s: %s; say which", len(named), words.Quote(text), words.List(named, ", "))
}

// obey carries out an order about an actor that this nursery hosts, or passes it on to the one
// below that does. mine is whether there is such an actor.
func (n *Nursery) obey(ctx context.Context, r wire.OrderRequest) (answer []byte, mine bool, err error) {
	c, g, tree := n.addressee(r)
	switch {
	case tree && r.Do == wire.OrderApply && r.Path == n.env.registry.Path():
		answer, err = n.obeyApply(ctx, r)
	case g != nil:
		err = n.scale(ctx, g, r.Replicas, " by "+r.By)
	case c == nil:
		return nil, false, nil
	case c.member.Path() != r.Path:
		answer, err = c.pass(ctx, r)
	default:
		answer, err = c.obey(ctx, r)
	}
	return answer, true, err
}

// addressee is the child that an order is about, or that hosts the actor that is meant, and
// the group, if it is to be scaled; tree is whether this nursery runs one.
func (n *Nursery) addressee(r wire.OrderRequest) (c *child, g *group, tree bool) {
	n.look(func() {
		tree = len(n.groups) > 0
		if r.Do == wire.OrderScale && treepath.Host(r.Path) == n.env.registry.Path() {
			g = n.groups[treepath.Last(r.Path)]
		}
		for _, other := range n.children {
			if path := other.member.Path(); path == r.Path || treepath.IsBelow(r.Path, path) {
				c = other
			}
		}
	})
	return c, g, tree
}

// obey carries out an order about this child itself.
func (c *child) obey(ctx context.Context, r wire.OrderRequest) (answer []byte, err error) {
	switch r.Do {
	case wire.OrderCancel:
		err = c.end(ctx, "cancelled by "+r.By)
	case wire.OrderRestart:
		err = c.restart(ctx, &cancellation{Canceller: c.n.env.self, Reason: "restarted by " + r.By})
	case wire.OrderDrain:
		err = c.drain(ctx, r.By)
	case wire.OrderAwaitHealth:
		err = c.awaitHealth(ctx)
	case wire.OrderDescribe, wire.OrderLook, wire.OrderDump:
		answer, err = inspect.Encode(c.inspect(ctx, r.Do))
	case wire.OrderScale:
		err = fmt.Errorf("%s cannot be scaled: expected the name of an actor that the tree of its host describes, without the number of a replica", words.Quote(r.Path))
	default:
		err = fmt.Errorf("an order for %s: expected %s, %s, %s, %s, %s, %s, %s or %s, got %.100q", r.Path,
			wire.OrderCancel, wire.OrderRestart, wire.OrderDrain, wire.OrderScale, wire.OrderAwaitHealth, wire.OrderDescribe, wire.OrderLook, wire.OrderDump, r.Do)
	}
	return answer, err
}

// pass gives an order to the child, which hosts the actor that is meant, or another host of
// it.
func (c *child) pass(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	return inspect.Orders(c.dialogs)(ctx, r)
}

// end ends the child for good, and returns when it is gone.
func (c *child) end(ctx context.Context, reason string) error {
	if err := newPortal(c).Cancel(ctx, reason); err != nil && !errors.Is(err, fault.ErrActorTooSlow) {
		return err // one that is too slow is being ended with force
	}
	return task.Await(ctx, c.gone)
}

// errAskedToEnd is why a child is over that has not failed.
var errAskedToEnd = errors.New("it was asked to end")

// restart ends the child's process, and returns when another one is up.
func (c *child) restart(ctx context.Context, why *cancellation) error {
	if c.guest != nil {
		return fmt.Errorf("%s has joined by itself, and cannot be started again from here", c.member.Path())
	}
	var before int
	c.n.update(func() {
		before, c.again = c.epoch, why
		c.n.carryOut(c.n.plan.restart(c.id))
	})
	return c.awaitNext(ctx, before)
}

// awaitNext returns when a process is up that comes after so many.
func (c *child) awaitNext(ctx context.Context, before int) error {
	over, err := c.await(ctx, func() bool { return c.lastUp != nil && c.lastUp.epoch > before })
	if over {
		return fmt.Errorf("%s has ended, and is not started again: %w", c.member.Path(), cmp.Or(c.err, errAskedToEnd))
	}
	return err
}

// awaitHealth returns when the child's last health check has passed, of its present process. One
// without health checks needs only to be up.
func (c *child) awaitHealth(ctx context.Context) error {
	over, err := c.await(ctx, func() bool { return c.isUp() && (c.healthy || c.spec.Health.Off) })
	if over {
		return fmt.Errorf("%w: %s has ended", directory.ErrNotFound, c.member.Path())
	}
	return err
}
