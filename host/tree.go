package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Tree is a set of actors that were started as a config file says. OpenTree makes it
// inside the nursery that owns the actors, and it ends with that. Nothing in it changes
// once body runs, so that it may be used from any goroutine without a lock.
type Tree struct {
	nursery *Nursery
	portals map[string][]*Portal // made before body runs, and not changed after
}

// OpenTree starts actors, those first that others depend on and independent ones
// in parallel, runs body when all are ready, and ends them when body has returned.
// It returns what OpenNursery does, or, before anything is started, a *config.Error if the tree breaks the rules, and another
// error if a package has not been built.
// Packages must have been built (Build).
func OpenTree(ctx context.Context, o Options, actors []Spec, body func(ctx context.Context, t *Tree) error) error {
	if err := checkTree(o.Supervision, actors); err != nil {
		return err
	}
	levels := config.Levels(actors)
	return openNursery(ctx, o, func(ctx context.Context, n *Nursery) error {
		t := &Tree{nursery: n, portals: map[string][]*Portal{}}
		err := t.add(levels)
		n.door.open() // the actors of the tree have their paths by now
		if err := t.start(ctx, err); err != nil {
			return err
		}
		if err := body(context.WithValue(ctx, treeKey{}, t), t); err != nil {
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

// treeKey is where [FromContext] finds the tree. One that was opened inside another one
// hides it: an actor sees only the part of the tree that it hosts itself.
type treeKey struct{}

// FromContext is the tree that the code under ctx runs in: the children of a
// plugin that was served with Subtree, or of OpenTree's body. It is never nil; a
// ctx without a tree gives an empty one.
func FromContext(ctx context.Context) *Tree {
	if t, ok := ctx.Value(treeKey{}).(*Tree); ok {
		return t
	}
	return &Tree{}
}

// Portal is the portal to an actor by name; to the first one if it has replicas.
func (t *Tree) Portal(name string) (*Portal, error) {
	all, err := t.Portals(name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Portals are the portals to all replicas of an actor. There is at least one.
func (t *Tree) Portals(name string) ([]*Portal, error) {
	if all := t.portals[name]; len(all) > 0 {
		return slices.Clone(all), nil
	}
	have := "there are none here"
	if len(t.portals) > 0 {
		have = "there are " + strings.Join(slices.Sorted(maps.Keys(t.portals)), ", ")
	}
	return nil, fmt.Errorf("no actor %q in this part of the tree; %s", name, have)
}

// start waits until each actor is up, or is over. The table of the
// supervisor starts each as soon as what it needs is ready; here is only waited, in a
// goroutine for each, so that the failure of one is known while others are still coming
// up. Every failure counts, err of those that could not be taken in included, but those that only follow from another.
func (t *Tree) start(ctx context.Context, err error) error {
	var group task.Group
	var mu sync.Mutex
	failures := []error{err}
	for _, portals := range t.portals {
		for _, p := range portals {
			group.Go(func() {
				if err := p.s.awaitUp(ctx); err != nil && !errors.Is(err, errOrphaned) {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, err)
				}
			})
		}
	}
	group.Close()
	return fault.Join(failures...)
}

// add takes actors in, those first that others need: a need is the id of a child, so that
// it has to be there before. If the nursery closes meanwhile, those that were taken in are
// waited for as usual.
func (t *Tree) add(levels [][]Spec) error {
	for _, level := range levels {
		for _, spec := range level {
			needs := t.needs(spec)
			for range max(1, spec.Replicas) {
				c, err := t.nursery.add(t.nursery.ctx, &child{spec: spec, childState: childState{needs: needs}})
				if err != nil {
					return err
				}
				t.portals[spec.Name] = append(t.portals[spec.Name], newPortal(c))
			}
		}
	}
	return nil
}

// needs is what an actor depends on: every replica of what it names. One whose health
// checks are off has none to pass.
func (t *Tree) needs(spec Spec) []need {
	var needs []need
	for name, condition := range spec.DependsOn {
		for _, p := range t.portals[name] {
			needs = append(needs, need{id: p.s.id, healthy: condition == config.Healthy && !p.s.spec.Health.Off})
		}
	}
	return needs
}
