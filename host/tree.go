package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Tree is a set of actors that were started as a config file says. OpenTree makes it inside
// the nursery that owns the actors, and it ends with that. It may be used from any
// goroutine.
type Tree struct {
	nursery *Nursery // nil if the tree is empty
}

// OpenTree starts actors, those first that others depend on and independent ones in
// parallel, runs body when all are ready, and ends them when body has returned. It returns
// what OpenNursery does, or, before anything is started, a *config.Error if the tree breaks
// the rules, and another error if a package has not been built. Packages must have been
// built (Build).
func OpenTree(ctx context.Context, o Options, actors []Spec, body func(ctx context.Context, t *Tree) error) error {
	if err := checkTree(o.Supervision, actors); err != nil {
		return err
	}
	return openNursery(ctx, o, func(ctx context.Context, n *Nursery) error {
		t := &Tree{n}
		err := t.add(actors)
		n.door.open(n) // the actors of the tree have their paths by now
		if err := t.start(ctx, err); err != nil {
			return err
		}
		if err := body(ctxvalue.With(ctx, t), t); err != nil {
			return err
		}
		n.Cancel()
		return nil
	})
}

// Subtree is for sdk.Plugin.Hosts: it makes a plugin host the children that the
// tree gives it. Handlers find them with FromContext.
func Subtree(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error {
	return SubtreeWith(Options{})(ctx, tree, serve)
}

// SubtreeWith is Subtree with options, such as endpoints that the children may call
// on the plugin. Their supervision is what the tree says.
func SubtreeWith(o Options) func(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error {
	return func(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error {
		var part config.Tree
		if err := json.Unmarshal(tree, &part); err != nil {
			return fmt.Errorf("the tree that the host sent cannot be read: %w", err)
		}
		options := o
		options.Supervision = part.Supervision
		return OpenTree(ctx, options, part.Actors, func(ctx context.Context, _ *Tree) error { return serve(ctx) })
	}
}

// FromContext is the tree that the code under ctx runs in: the children of a
// plugin that was served with Subtree, or of OpenTree's body. It is never nil; a
// ctx without a tree gives an empty one. A tree that was opened inside another one hides it: an
// actor sees only the part that it hosts itself.
func FromContext(ctx context.Context) *Tree {
	return cmp.Or(ctxvalue.Of[*Tree](ctx), &Tree{})
}

// Portal is the portal to an actor by name; to the first one if it has replicas.
func (t *Tree) Portal(name string) (*Portal, error) {
	all, err := t.Portals(name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Portals are the portals to all replicas that an actor has at the moment, in their order.
// There is at least one.
func (t *Tree) Portals(name string) (all []*Portal, err error) {
	g, err := t.group(name)
	if err != nil {
		return nil, err
	}
	t.nursery.look(func() { all = slices.Clone(g.portals) })
	if len(all) == 0 {
		return nil, fmt.Errorf("actor %q has no replicas at the moment; Scale starts some", name)
	}
	return all, nil
}

// Scale has an actor have n replicas from now on: it starts those that are missing, or ends
// those with the highest numbers, as [Portal.Cancel] ends an actor, and returns when that
// is done. Where the tree says replicas, it is only how many there are at first. A replica
// counts that is being restarted; one that has ended for good does not, and so the same
// number again replaces it. With 0 the actor has none, until the next Scale. Its replicas
// may be as many as in a config file.
//
// The end of ctx gives up those that are not up by then; those that were told to end do so
// all the same.
//
// Errors: a *config.Error if there would be too many; those of [Nursery.Start] for each one
// that does not come up, while the others stay; the cause of ctx.
func (t *Tree) Scale(ctx context.Context, name string, n int) error {
	g, err := t.group(name)
	if err != nil {
		return err
	}
	return t.nursery.scale(ctx, g, n, "")
}

// group is the actor of a name.
func (t *Tree) group(name string) (*group, error) {
	have := "there are none here"
	if t.nursery != nil {
		var g *group
		t.nursery.look(func() {
			if g = t.nursery.groups[name]; g == nil {
				have = "there are " + strings.Join(slices.Sorted(maps.Keys(t.nursery.groups)), ", ")
			}
		})
		if g != nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("no actor %q in this part of the tree; %s", name, have)
}

// start waits until each actor is up, or is over. The table of the supervisor starts each
// as soon as what it needs is ready. Every failure counts, err of those that could not be
// taken in included, but those that only follow from another, and those of replicas that
// nobody wants any more.
func (t *Tree) start(ctx context.Context, err error) error {
	var all []*child
	t.nursery.look(func() {
		for _, g := range t.nursery.groups {
			for _, p := range g.portals {
				all = append(all, p.s)
			}
		}
	})
	failures := awaitAll(ctx, all, func(c *child, err error) (counts bool) {
		t.nursery.look(func() { counts = !c.surplus })
		return counts && !errors.Is(err, errOrphaned)
	})
	return fault.Join(append(failures, err)...)
}

// add takes actors in, those first that others need: a need is the id of a group, so that
// it has to be there before. If the nursery closes meanwhile, those that were taken in are
// waited for as usual.
func (t *Tree) add(actors []Spec) (err error) {
	n := t.nursery
	for _, spec := range slices.Concat(config.Levels(actors)...) {
		g := &group{spec: anchoredHere(spec)}
		n.update(func() {
			if err = cmp.Or(n.closedErr(), n.clash(&child{spec: spec})); err == nil {
				n.groups[spec.Name] = g
				n.grow(g, max(1, spec.Replicas), "")
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// needsOf is what an actor depends on: every replica of what it names. One whose health
// checks are off has none to pass. It is called under the lock.
func (n *Nursery) needsOf(spec Spec) []need {
	var needs []need
	for name, condition := range spec.DependsOn {
		g := n.groups[name]
		needs = append(needs, need{group: g.id, healthy: condition == config.Healthy && !underDebugger(g.spec).Health.Off})
	}
	return needs
}
