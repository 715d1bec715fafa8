package host

import (
	"context"
	"fmt"
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

// followTrees joins the root of each tree that the registry has, for as long as that holds its name.
func (a *agent) followTrees(ctx, joined context.Context) {
	var stays task.Group
	defer stays.Close()
	trees := map[string]context.CancelFunc{}
	forget := func(name string) {
		if end := trees[name]; end != nil {
			end()
			delete(trees, name)
		}
	}
	for change, err := range a.Registry.Watch(ctx, fleet.TreePrefix) {
		switch {
		case err != nil:
			if ctx.Err() == nil {
				a.Log.Error("an agent finds no more trees", "error", err)
			}
			return
		case change.Kind == fleet.Released:
			forget(change.Name)
		case change.Kind == fleet.Held, change.Kind == fleet.Changed:
			forget(change.Name)
			if change.Holder.Address == "" {
				continue // nobody can join it from elsewhere
			}
			host, _, _ := strings.Cut(change.Holder.Name, ":") // of a root, its tree comes behind that
			during, end := context.WithCancel(ctx)
			trees[change.Name] = end
			stays.Go(func() { a.stay(during, joined, fmt.Sprintf("tls://%s@%s", host, change.Holder.Address)) })
		}
	}
}
