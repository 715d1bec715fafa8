package host

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Tree is a set of actors that were started as a config file says.
type Tree struct {
	nursery *Nursery
	mu      sync.Mutex
	portals map[string][]*Portal
}

// OpenTree starts actors, those first that others depend on and independent ones
// in parallel, runs body when all are ready, and ends them when body has returned.
// It returns what OpenNursery does. Packages must have been built (Build).
func OpenTree(ctx context.Context, o Options, actors []Spec, body func(ctx context.Context, t *Tree) error) error {
	levels, err := config.Levels(actors)
	if err != nil {
		return err
	}
	return OpenNursery(ctx, o, func(ctx context.Context, n *Nursery) error {
		t := &Tree{nursery: n, portals: map[string][]*Portal{}}
		for _, level := range levels {
			if err := t.startLevel(ctx, level); err != nil {
				return err
			}
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
	var actors []Spec
	if err := json.Unmarshal(tree, &actors); err != nil {
		return fmt.Errorf("the tree that the host sent cannot be read: %w", err)
	}
	return OpenTree(ctx, Options{}, actors, func(ctx context.Context, _ *Tree) error { return serve(ctx) })
}

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
	t.mu.Lock()
	defer t.mu.Unlock()
	if all := t.portals[name]; len(all) > 0 {
		return slices.Clone(all), nil
	}
	have := "there are none here"
	if len(t.portals) > 0 {
		var names []string
		for known := range t.portals {
			names = append(names, known)
		}
		slices.Sort(names)
		have = "there are " + strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("no actor %q in this part of the tree; %s", name, have)
}

// startLevel starts actors that do not depend on each other.
func (t *Tree) startLevel(ctx context.Context, level []Spec) error {
	var group task.Group
	var mu sync.Mutex
	var failures []error
	for _, spec := range level {
		for range max(1, spec.Replicas) {
			group.Go(func() {
				if err := t.startOne(ctx, spec); err != nil {
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

func (t *Tree) startOne(ctx context.Context, spec Spec) error {
	p, err := t.nursery.start(ctx, spec, t.needs(spec))
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.portals[spec.Name] = append(t.portals[spec.Name], p)
	return nil
}

// needs are the children that an actor depends on.
func (t *Tree) needs(spec Spec) []*child {
	t.mu.Lock()
	defer t.mu.Unlock()
	var needs []*child
	for name := range spec.DependsOn {
		for _, p := range t.portals[name] {
			needs = append(needs, p.c)
		}
	}
	return needs
}
