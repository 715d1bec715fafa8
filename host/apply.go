package host

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Change is a difference between a tree that runs and one that is wanted.
type Change struct {
	Path string `json:"path"` // of an actor, for all of its replicas; with "supervise" of a host, "" for the root
	// Do is what Apply does about it: "add" an actor, "remove" it, "scale" it; "restart" it
	// with other settings, or, if there are none in Have and Want, because the strategy of
	// its supervisor asks for that when another one is restarted; "supervise" other actors
	// in another way from now on; or "ask" a host that could not be asked.
	Do      string `json:"do"`
	Running int    `json:"running,omitempty"` // replicas at the moment
	// Have and Want are its settings, with defaults, and without what it hosts. What was
	// built from a package has that; if they are the same, the program is another one.
	Have *Spec `json:"have,omitempty"`
	Want *Spec `json:"want,omitempty"`
	Err  error `json:"-"` // why it could not be done
}

// Plan says what [Tree.Apply] would change. The packages of want need not have been built:
// then whether their programs would be others is not looked at.
func (t *Tree) Plan(ctx context.Context, want config.Tree) ([]Change, error) {
	return t.change(ctx, want, true)
}

// Apply has the tree run what want says, here and in the actors that host others, and
// returns when that is done. Actors that are new are started, those that want does not have
// are ended, and those whose settings or whose programs have changed are restarted with
// what the strategy of their supervisor restarts with them, once those have ended that
// depend on them and end too; portals to them stay. All of a host is decided in one change:
// a restart that is under way already goes on with the new settings. What is as it is
// wanted is left alone, and so a second Apply changes nothing.
//
// What cannot be done is in the Err of its change; another Apply tries that again. A
// changed actor whose next process does not come up is over, as one is whose first start
// has failed. The error is about all of it, and then nothing was changed: a *config.Error,
// packages that are not built, the end of the tree or of ctx.
func (t *Tree) Apply(ctx context.Context, want config.Tree) ([]Change, error) {
	return t.change(ctx, want, false)
}

// change is both of them. A program that has no tree here has nothing that could be changed.
func (t *Tree) change(ctx context.Context, want config.Tree, dry bool) ([]Change, error) {
	if t.nursery == nil {
		return nil, errors.New("this part of the tree has no actors")
	}
	return t.nursery.apply(ctx, want, dry)
}

// changing is one Apply, or Plan (dry), of a nursery.
type changing struct {
	n       *Nursery
	dry     bool
	why     *cancellation
	want    config.Tree
	changes []*pending
	below   []*pending // those of actors that host others
}

// pending is a change, and what is to be waited for.
type pending struct {
	Change
	await []func(ctx context.Context) error
	below []Change // what an actor that hosts others has changed
}

// apply is Plan and Apply. One goes on at a time.
func (n *Nursery) apply(ctx context.Context, want config.Tree, dry bool) ([]Change, error) {
	err := want.Check()
	if !dry {
		err = cmp.Or(err, checkBuilt("actors.", want.Actors))
	}
	if err != nil {
		return nil, err
	}
	select {
	case n.applying <- struct{}{}:
		defer func() { <-n.applying }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	want.Actors = slices.Clone(want.Actors)
	for i, spec := range want.Actors {
		want.Actors[i] = anchoredHere(spec)
	}
	c := &changing{n: n, dry: dry, want: want, why: n.cancellationFor("its settings have changed")}
	over := causeOf(ctx)
	n.update(func() {
		if err = cmp.Or(n.closedErr(), over); err == nil {
			c.decide()
		}
	})
	if err != nil {
		return nil, err
	}
	return c.finish(ctx), nil
}

// decide finds what differs, and begins to change it unless nothing is to be changed. It is
// called under the lock.
func (c *changing) decide() {
	n := c.n
	if c.dry {
		defer func(before config.Supervision) { n.plan.Supervision = before }(n.plan.Supervision)
	}
	if have, want := n.plan.Supervision, c.want.Supervision.WithDefaults(); want != have {
		c.add(Change{Path: n.env.registry.Path(), Do: route.ChangeSupervise, Have: &Spec{Supervision: have}, Want: &Spec{Supervision: want}})
		n.plan.Supervision = want
	}
	left := maps.Clone(n.groups)
	changed := map[string]*pending{}
	for _, spec := range slices.Concat(config.Levels(c.want.Actors)...) { // those first that others need
		g := left[spec.Name]
		delete(left, spec.Name)
		if p := c.actor(g, spec); p != nil {
			changed[spec.Name] = p
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		c.remove(left[name])
	}
	c.restart(changed, left)
}

// add notes a change, whose awaits are for the caller to add.
func (c *changing) add(change Change) *pending {
	p := &pending{Change: change}
	c.changes = append(c.changes, p)
	return p
}

// path is that of an actor of this nursery, for all of its replicas.
func (c *changing) path(name string) string { return treepath.Join(c.n.env.registry.Path(), name) }

// actor changes one actor, or adds it if it is not there, and returns the change if it has
// to be restarted.
func (c *changing) actor(g *group, spec Spec) (restarted *pending) {
	n, count := c.n, max(1, spec.Replicas)
	if g == nil {
		p := c.add(Change{Path: c.path(spec.Name), Do: route.ChangeAdd, Want: own(spec)})
		if !c.dry {
			g = &group{spec: spec}
			n.groups[spec.Name] = g
			p.awaitUp(n.grow(g, count, ""))
		}
		return nil
	}
	have, want := own(g.spec), own(spec)
	if want.Built == nil { // it is not known what would be built
		have = own(source(g.spec))
	}
	if !sameSpec(have, want) {
		restarted = c.add(Change{Path: c.path(spec.Name), Do: route.ChangeRestart, Have: own(source(g.spec)), Want: own(source(spec))})
	}
	running := len(n.plan.replicas(g.id))
	if !c.dry {
		n.respecify(g, spec, restarted != nil || running == 0)
	}
	if running != count {
		c.scale(g, c.add(Change{Path: c.path(spec.Name), Do: route.ChangeScale, Running: running, Want: &Spec{Replicas: count}}), count)
	}
	if restarted == nil && len(spec.Actors) > 0 && running > 0 {
		p := &pending{}
		p.await = append(p.await, func(ctx context.Context) error { return c.ask(ctx, g, spec, p) })
		c.below = append(c.below, p)
	}
	return restarted
}

// remove ends an actor for good, which is not told of one that has no replicas any more.
func (c *changing) remove(g *group) {
	p := &pending{}
	if running := len(c.n.plan.replicas(g.id)); running > 0 {
		p = c.add(Change{Path: c.path(g.spec.Name), Do: route.ChangeRemove, Running: running})
	}
	c.scale(g, p, 0)
	if !c.dry {
		delete(c.n.groups, g.spec.Name)
	}
}

// scale begins to have so many replicas of an actor. What is told to end, and what is
// started for that, is waited for with the change.
func (c *changing) scale(g *group, p *pending, count int) {
	if c.dry {
		return
	}
	added, leaving := c.n.resize(g, count, c.why)
	p.awaitUp(added)
	p.await = append(p.await, func(ctx context.Context) error { return awaitAllGone(ctx, leaving) })
}

// restart restarts the actors that have changed, and those that the strategy restarts with
// them, in one step.
func (c *changing) restart(changed map[string]*pending, removed map[string]*group) {
	s := &c.n.plan
	var ids []int
	for name := range changed {
		for _, replica := range s.replicas(c.n.groups[name].id) {
			ids = append(ids, replica.id)
		}
	}
	for _, row := range s.withOthers(ids) {
		replica := c.n.children[row.id]
		if removed[replica.name] != nil {
			continue
		}
		p := changed[replica.name]
		if p == nil {
			p = c.add(Change{Path: c.path(replica.name), Do: route.ChangeRestart})
			changed[replica.name] = p
		}
		if epoch := replica.epoch; !c.dry {
			p.await = append(p.await, func(ctx context.Context) error { return replica.awaitNext(ctx, epoch) })
		}
	}
	if c.dry {
		return
	}
	for _, id := range ids {
		c.n.children[id].again = c.why
	}
	c.n.carryOut(s.replace(ids))
}

// respecify says what the actors of a group are from their next processes on. If they go
// on, what they host is changed by themselves, and the group has it when they have.
func (n *Nursery) respecify(g *group, spec Spec, whole bool) {
	before := g.spec
	g.spec = spec
	for _, row := range n.plan.replicas(g.id) {
		n.children[row.id].respecify(spec, n.needsOf(spec))
	}
	if !whole {
		g.spec.Actors, g.spec.Supervision = before.Actors, before.Supervision
	}
}

// respecify is called under the lock. The process that runs keeps what it was started with.
func (c *child) respecify(spec Spec, needs []need) {
	before := c.standby
	c.spec, c.needs = underDebugger(spec), needs
	c.kind, c.standby = cmp.Or(spec.Restart, config.Temporary), c.n.standbyOf(c.spec)
	if c.standby != before {
		c.standby.step((*spares).join)
		before.step((*spares).leave)
	}
}

// ask has the replicas of an actor change what they host, each by itself.
func (c *changing) ask(ctx context.Context, g *group, spec Spec, p *pending) error {
	tree, err := json.Marshal(config.Tree{Name: spec.Name, Actors: spec.Actors, Supervision: spec.Supervision})
	if err != nil {
		return err
	}
	var replicas []*child
	c.n.look(func() {
		for _, portal := range g.portals {
			if portal.s.state != directory.Gone {
				replicas = append(replicas, portal.s)
			}
		}
	})
	for _, replica := range replicas {
		var told []told
		answer, failure := replica.pass(ctx, wire.OrderRequest{Path: replica.member.Path(), Do: wire.OrderApply, Tree: tree, Dry: c.dry})
		if failure == nil {
			failure = json.Unmarshal(answer, &told)
		}
		if failure != nil {
			p.below = append(p.below, Change{Path: replica.member.Path(), Do: route.ChangeAsk, Err: failure})
			err = failure
		}
		for _, t := range told {
			if t.Failure != "" {
				t.Err = errors.New(t.Failure)
			}
			p.below = append(p.below, t.Change)
		}
	}
	if err == nil && !c.dry {
		c.n.update(func() { g.spec.Actors, g.spec.Supervision = spec.Actors, spec.Supervision })
	}
	return nil // it is told with the actor
}

// finish waits for all changes at once.
func (c *changing) finish(ctx context.Context) (all []Change) {
	var waiting task.Group
	for _, p := range slices.Concat(c.changes, c.below) {
		waiting.Go(func() {
			var failures []error
			for _, await := range p.await {
				failures = append(failures, await(ctx))
			}
			p.Err = fault.Join(failures...)
		})
	}
	waiting.Close()
	c.n.look(c.n.dropNeverUp)
	for _, p := range c.changes {
		all = append(all, p.Change)
	}
	for _, p := range c.below {
		all = append(all, p.below...)
	}
	return all
}

// awaitUp has those waited for that were just added.
func (p *pending) awaitUp(added []*child) {
	p.await = append(p.await, func(ctx context.Context) error {
		return fault.Join(awaitAll(ctx, added, func(*child, error) bool { return true })...)
	})
}

// told is a change on its way up, with its failure as a text.
type told struct {
	Change
	Failure string `json:"failure,omitempty"`
}

// obeyApply carries out the order of this actor's own host.
func (n *Nursery) obeyApply(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
	var want config.Tree
	if err := json.Unmarshal(r.Tree, &want); err != nil {
		return nil, fmt.Errorf("the tree that the host sent cannot be read: %w", err)
	}
	changes, err := n.apply(ctx, want, r.Dry)
	if err != nil {
		return nil, err
	}
	all := []told{}
	for _, change := range changes {
		t := told{Change: change}
		if change.Err != nil {
			t.Failure = change.Err.Error()
		}
		all = append(all, t)
	}
	return json.Marshal(all)
}

// source is a spec with the package again that its program was built from.
func source(spec Spec) Spec {
	if isBuilt(spec) {
		dir := spec.Built.Dir
		spec.Package, spec.Command, spec.Built = spec.Built.Package, nil, nil
		spec = spec.Anchored(dir)
	}
	return spec
}

// own is a spec with all defaults, without what is changed while its process goes on: the
// number of replicas, and what it hosts, though not that it hosts something.
func own(spec Spec) *Spec {
	spec = spec.WithDefaults()
	if spec.Replicas = 0; len(spec.Actors) > 0 {
		spec.Actors, spec.Supervision = []Spec{{}}, config.Supervision{}
	}
	return &spec
}

// sameSpec reports whether two specs say the same, as JSON has it: a list or mapping with
// nothing in it says what a missing one does.
func sameSpec(have, want *Spec) bool {
	before, err := json.Marshal(have)
	after, other := json.Marshal(want)
	if err = cmp.Or(err, other); err != nil {
		panic(err) // they are texts and numbers
	}
	return bytes.Equal(before, after)
}
