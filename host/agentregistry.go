package host

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// inRegistry keeps an agent a member of its registry, and in the trees that this has, until joined ends. It needs the
// registry only to find hosts: what runs goes on while that cannot be asked.
func (a *agent) inRegistry(ctx, joined context.Context) {
	var tasks task.Group
	defer tasks.Close()
	tasks.Go(func() { a.beMember(joined) })
	a.followTrees(ctx, joined)
}

// beMember is a member of the registry until joined ends, and says there when it is draining.
func (a *agent) beMember(joined context.Context) {
	for joined.Err() == nil {
		m, err := fleet.WaitJoin(joined, a.Registry, a.member())
		if err != nil {
			a.told(joined, "an agent is not a member of the registry", err)
			if closedWithin(joined.Done(), agentLongest) {
				return
			}
			continue
		}
		a.change(func() { a.epoch = m.Epoch() })
		a.stayMember(joined, m)
	}
}

// stayMember returns when the membership is over.
func (a *agent) stayMember(joined context.Context, m fleet.Membership) {
	told := false
	for {
		var changed <-chan struct{}
		var draining bool
		a.look(func() { draining, changed = a.draining, a.changed })
		if draining && !told {
			told = true
			if err := m.Update(joined, a.member()); err != nil {
				a.told(joined, "the registry does not know that an agent is draining", err)
			}
		}
		select {
		case <-changed:
		case <-m.Lost():
			a.told(joined, "the registry has lost an agent, which joins it again", m.Err())
			return
		case <-joined.Done():
			ctx, stop := context.WithTimeout(context.Background(), leaveWithin)
			defer stop()
			if err := m.Leave(ctx); err != nil { // it is over with the lease
				a.Log.Warn("an agent is still in the registry", "error", err)
			}
			return
		}
	}
}

// told logs a failure, unless the agent ends.
func (a *agent) told(joined context.Context, what string, err error) {
	if joined.Err() == nil {
		a.Log.Warn(what, "host", a.Name, "error", err)
	}
}

// member is what the agent says of itself in the registry.
func (a *agent) member() fleet.Host {
	h := fleet.Host{Name: a.Name, Labels: a.Labels, Capacity: a.Capacity}
	a.look(func() { h.Draining = a.draining })
	return h
}

// treeStay is the stay of an agent with a host at which the registry has trees. Until it is over there is no second
// one: the agent would be two in that tree, with places of their own, and a host that drains one would move its actors
// to the other. A host that is connected may lose its tree and have it again, and a watch that begins anew tells
// all trees once more.
//
// The agent's mu guards the first two fields.
type treeStay struct {
	// names are those of the trees that were held there, and whether they are; one that has none is "".
	names map[string]bool
	// over is set when it joins no more.
	over bool
	// held has room for one, and says that there is a tree anew, so that a pause is cut short.
	held chan struct{}
}

func newStay(name string) *treeStay {
	return &treeStay{names: map[string]bool{name: true}, held: make(chan struct{}, 1)}
}

// wanted is asked before each join: whoever has joined stays, though the registry has lost the tree.
func (t *treeStay) wanted(a *agent) (yes bool) {
	a.look(func() {
		for _, held := range t.names {
			yes = yes || held
		}
		t.over = !yes
	})
	return yes
}

// stayed is the end of a stay. An agent in a registry waits for other trees, and for one whose root is lost, unless the last of its
// hosts has drained it.
func (a *agent) stayed(t *treeStay) {
	idle := false
	a.look(func() {
		t.over = true
		a.stays--
		idle = a.stays == 0
		for name := range t.names {
			_, drained := a.drained[name]
			idle = idle && drained
		}
	})
	if idle && a.Registry != nil {
		a.Log.Info("an agent ends, which its hosts have drained", "host", a.Name)
		a.end()
	}
}

// followTrees joins the root of each tree that the registry has, for as long as that holds its name.
func (a *agent) followTrees(ctx, joined context.Context) {
	var all task.Group
	defer all.Close()
	stays := map[string]*treeStay{} // by address
	forget := func(is func(name string) bool) {
		a.look(func() {
			maps.DeleteFunc(stays, func(_ string, t *treeStay) bool {
				for name := range t.names {
					t.names[name] = t.names[name] && !is(name)
				}
				return t.over
			})
		})
	}
	for change, err := range a.Registry.Watch(ctx, fleet.TreePrefix) {
		switch {
		case err != nil:
			if ctx.Err() == nil {
				a.Log.Error("an agent finds no more trees", "error", err)
			}
			return
		case change.Kind == fleet.Reset:
			forget(func(string) bool { return true })
		case change.Kind == fleet.Current:
		default:
			forget(func(name string) bool { return name == change.Name })
			if change.Kind == fleet.Released || change.Holder.Address == "" {
				continue // nobody can join it from elsewhere
			}
			host, _, _ := strings.Cut(change.Holder.Name, ":") // of a root, its tree comes behind that
			address := fmt.Sprintf("tls://%s@%s", host, change.Holder.Address)
			if t := a.staying(stays, address, change.Name); t != nil {
				all.Go(func() { a.stay(ctx, joined, address, t) })
			}
		}
	}
}

// staying notes that a tree is held at an address, and gives the stay there if it is still to begin. One that is over
// is replaced. The agent does not go back to a tree whose host has drained it, wherever its next root is.
func (a *agent) staying(stays map[string]*treeStay, address, name string) (begins *treeStay) {
	a.look(func() {
		if _, is := a.drained[name]; is {
			return
		}
		t := stays[address]
		if t == nil || t.over {
			t = newStay(name)
			stays[address], begins = t, t
			a.stays++
		}
		t.names[name] = true
		select {
		case t.held <- struct{}{}:
		default: // it has not seen the last one yet
		}
	})
	return begins
}
