package host

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lease"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// machines are the agents that have joined a nursery, and the tunnels that it waits for. mu guards the fields
// below it; it is the last lock that anybody takes.
type machines struct {
	lease time.Duration    // of the actors that run there
	until func() time.Time // when this host itself must have ended; nil: never

	mu       sync.Mutex
	all      []*machine
	launched []*launcher             // the agents that this host starts
	changed  chan struct{}           // closed at the next change
	expected map[string]*expectation // by their tokens
}

// mostExpected are tunnels that a host waits for.
const mostExpected = 1024

// expectation is a tunnel that somebody waits for.
type expectation struct {
	host string // that dials it; "" on this machine
	take func(link.Transport) (over <-chan struct{})
	once sync.Once // it was taken, or is not waited for any more
}

// machine is an agent that has joined. machines.mu guards its fields but the first two.
type machine struct {
	child   *child      // the agent itself
	takes   atomic.Bool // it has taken a piece of a program since that was asked last
	info    agentInfo
	running map[string]int // processes by the names of their actors
	total   int
	leaving bool // its host has been asked to drain it
	silent  bool // it does not answer
	refuses bool // it has had no room for a process, and has not been heard since
}

// errSilent is why an agent is not waited for.
var errSilent = errors.New("the agent does not answer")

// do has the agent do something, and waits for that for as long as ctx lives.
func (a *machine) do(ctx context.Context, env *environment, o processOrder) (processAnswer, error) {
	return ask(ctx, env, func() (processAnswer, error) { return agentDo.Call(ctx, newPortal(a.child), o) })
}

// ask waits for what an agent answers for as long as ctx lives: one that is frozen answers when it goes
// on, or is none of the nursery's any more. What is left of the question then, the nursery's end waits for, which has
// cut the agent's link before.
func ask[T any](ctx context.Context, env *environment, question func() (T, error)) (answer T, err error) {
	done := make(chan struct{})
	var there T
	var failure error
	if !env.letGo.Go(func() {
		defer close(done)
		there, failure = question()
	}) {
		return answer, fault.ErrActorClosing
	}
	select {
	case <-done:
		return there, failure
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
}

func newMachines(f *Fleet) *machines {
	if f == nil {
		f = &Fleet{}
	}
	return &machines{lease: cmp.Or(f.Lease, lease.Default), until: f.until, changed: make(chan struct{}), expected: map[string]*expectation{}}
}

// isAgent reports whether a program that joins is an agent, by what it serves.
func isAgent(hello *wire.BootResponse) bool {
	for _, e := range hello.Endpoints {
		if e.Name == agentLaunch.Name() {
			return true
		}
	}
	return false
}

// follow keeps what is known of an agent, from when it is up until it is gone.
func (m *machines) follow(ctx context.Context, c *child) error {
	if err := c.awaitUp(ctx); err != nil {
		return err
	}
	a := &machine{child: c, running: map[string]int{}}
	heard := sync.OnceFunc(func() { close(c.guest.heard) })
	defer heard()
	defer m.change(func() { m.all = slices.DeleteFunc(m.all, func(other *machine) bool { return other == a }) })
	ctx, stop := context.WithCancel(ctx)
	var tasks task.Group
	defer tasks.Close()
	defer stop()
	tasks.Go(func() { m.ping(ctx, a) })
	for info, err := range agentState.Stream(ctx, newPortal(c), struct{}{}) {
		if err != nil {
			return err
		}
		if from := c.guest.caller.Host; from != "" {
			info.Host = from // by its certificate, whatever it says
		}
		if err := info.check(); err != nil {
			return fmt.Errorf("an agent is not used: %w", err)
		}
		var begins bool
		m.change(func() {
			if a.info = info; !slices.Contains(m.all, a) {
				m.all = append(m.all, a)
			}
			begins = info.Draining && !a.leaving
			a.leaving = a.leaving || begins
		})
		heard()
		if begins {
			tasks.Go(func() { c.n.moveAway(ctx, a, "its machine is left") })
		}
	}
	return nil
}

// pingPause is how often an agent is asked whether it answers, and how long it has for that.
const pingPause = time.Second

// ping keeps known whether an agent answers. There is one question at a time. An agent whose machine is frozen keeps its
// connections, since the kernels at both ends go on to acknowledge each other for a while: that it hangs, only a question shows.
// Its actors need none, as their leases end by themselves.
func (m *machines) ping(ctx context.Context, a *machine) {
	for ctx.Err() == nil {
		answered := make(chan struct{})
		if !a.child.n.env.letGo.Go(func() {
			defer close(answered)
			_, _ = agentDo.Call(ctx, newPortal(a.child), processOrder{Do: doPing}) // the end of the link is seen by others
		}) {
			return
		}
		for waits := true; waits; {
			select {
			case <-answered:
				waits = false
				m.sounds(a, false)
			case <-time.After(pingPause):
				m.sounds(a, !a.takes.Swap(false)) // pieces of a program may be before the question, on a link that is slow
			case <-ctx.Done():
				return
			}
		}
		closedWithin(ctx.Done(), pingPause)
	}
}

// sounds takes note of whether an agent is silent. One that has refused is chosen again.
func (m *machines) sounds(a *machine, silent bool) {
	m.mu.Lock()
	same := a.silent == silent && !a.refuses
	m.mu.Unlock()
	if !same {
		m.change(func() { a.silent, a.refuses = silent, false })
	}
}

// refused takes note that an agent had no room, which it had not said yet.
func (m *machines) refused(a *machine) { m.change(func() { a.refuses = true }) }

// silent reports whether an agent does not answer, and gives a channel that is closed at the next change.
func (m *machines) silent(a *machine) (silent bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return a.silent, m.changed
}

// answering gives a ctx that ends, with a [*fault.HostLost], when an agent does not answer any more. stop must be called in the end.
func (m *machines) answering(ctx context.Context, a *machine) (_ context.Context, stop func()) {
	ctx, end := context.WithCancelCause(ctx)
	watch := task.Start(func() {
		for ctx.Err() == nil {
			silent, changed := m.silent(a)
			if silent {
				end(m.lost(a, errSilent.Error()))
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	})
	return ctx, func() {
		end(nil)
		watch.Wait()
	}
}

// lost is that nothing more is known of an agent's host.
func (m *machines) lost(a *machine, reason string) error {
	host, epoch := m.host(a)
	return &fault.HostLost{Host: host, Epoch: epoch, Reason: reason}
}

// leaves reports whether the actors of an agent are moved elsewhere. One that was chosen just before that is not among
// them yet.
func (m *machines) leaves(a *machine) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return a.leaving || a.info.Draining
}

// change changes the table, and wakes those who wait for a place.
func (m *machines) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	close(m.changed)
	m.changed = make(chan struct{})
}

// choose takes a place for a process of an actor, or says why there is none now, and gives a channel that is closed
// at the next change.
func (m *machines) choose(on *config.On, name string) (a *machine, reasons []string, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	candidates := make([]candidate, len(m.all))
	for i, a := range m.all {
		candidates[i] = candidate{agentInfo: a.info, ofName: a.running[name], total: max(a.total, a.info.Running)}
		candidates[i].silent, candidates[i].refuses = a.silent, a.refuses
		candidates[i].Draining = a.info.Draining || a.leaving
	}
	i, reasons := place(on, candidates)
	if i < 0 {
		return nil, append(reasons, m.absent(on)...), m.changed
	}
	a = m.all[i]
	a.running[name]++
	a.total++
	return a, nil, nil
}

// leave gives a place back.
func (m *machines) leave(a *machine, name string) {
	m.change(func() {
		a.running[name]--
		a.total--
	})
}

// host is what is known of an agent's host.
func (m *machines) host(a *machine) (name string, epoch uint64) {
	if a == nil {
		return "", 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return a.info.Host, a.info.Epoch
}

// expect waits for a tunnel from an agent: take is called with it, once. forget must be called in the end, and ends
// the waiting, but not a tunnel that was taken, whose agent may be frozen. The agent is refused if too many are expected (docs/bounds.md).
func (m *machines) expect(a *machine, take func(link.Transport) (over <-chan struct{})) (token []byte, forget func()) {
	secret, e := rand.Text(), &expectation{host: a.child.guest.caller.Host, take: take}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.expected) < mostExpected {
		m.expected[secret] = e
	}
	return []byte(secret), func() {
		m.claim([]byte(secret), e.host)
		e.once.Do(func() {}) // from now on nothing is taken
	}
}

// claim is what waits for a tunnel from a host with a token, which is used up; nil if nothing does.
func (m *machines) claim(token []byte, host string) *expectation {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.expected[string(token)]
	if e == nil || e.host != host {
		return nil
	}
	delete(m.expected, string(token))
	return e
}

// carry gives the tunnel to whoever waits for it, and returns when it is over. Nobody may wait any more.
func (e *expectation) carry(t link.Transport) {
	var over <-chan struct{}
	e.once.Do(func() { over = e.take(t) })
	if over == nil {
		t.Abort()
		return
	}
	<-over
}

// drain has the actors of an agent started elsewhere, and then the agent leave. One that has just joined says first what
// it takes.
func (c *child) drain(ctx context.Context, by string) error {
	m := c.n.env.machines
	if c.guest == nil || !isAgent(c.guest.hello) {
		return fmt.Errorf("%s is not an agent, and cannot be drained; %s", c.member.Path(), m.names())
	}
	select {
	case <-c.guest.heard:
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var a *machine
	m.change(func() {
		if i := slices.IndexFunc(m.all, func(a *machine) bool { return a.child == c }); i >= 0 {
			a = m.all[i]
			a.leaving = true
			for _, l := range m.launched {
				if l.name == a.info.Host {
					l.drain()
				}
			}
		}
	})
	if a == nil {
		return fmt.Errorf("%s does not say what it takes, and so runs nothing that could be started elsewhere", c.member.Path())
	}
	c.n.moveAway(ctx, a, "its machine is drained by "+by)
	if _, err := a.do(ctx, c.n.env, processOrder{Do: doLeave}); err != nil && !errors.Is(err, fault.ErrActorLost) && !errors.Is(err, fault.ErrActorClosing) {
		return err
	}
	return awaitAllGone(ctx, []*child{c})
}

// names says which agents there are.
func (m *machines) names() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, a := range m.all {
		all = append(all, a.child.member.Path())
	}
	if len(all) == 0 {
		return "no agent has joined"
	}
	slices.Sort(all)
	return "the agents are " + words.List(all, ", ")
}

// moved is how long one actor may take to be up elsewhere before the next one is moved as well.
const moved = 5 * time.Second

// moveAway has the actors of an agent started again elsewhere, one after the other, those that are just starting as
// well. Its spares end before that: an actor would be moved into one of them, and so nowhere.
func (n *Nursery) moveAway(ctx context.Context, a *machine, reason string) {
	var there []*child
	n.update(func() {
		for _, c := range n.children {
			if c.hasProcess() && agentOf(&c.current.execution) == a.child.id {
				there = append(there, c)
			}
		}
		for _, b := range n.standbys {
			b.leaveAgent(a.child.id)
		}
	})
	for _, c := range there {
		waiting, stop := context.WithTimeoutCause(ctx, moved, fmt.Errorf("it is not up elsewhere after %v, and goes on starting", moved))
		if err := c.restart(waiting, n.cancellationFor(reason)); err != nil && ctx.Err() == nil {
			n.env.log.Warn("an actor could not be moved", "actor", c.member.Path(), "error", err)
		}
		stop()
	}
}
