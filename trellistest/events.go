package trellistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// kind is what an event is about. Those that only lead to another one, such as "stopping" to
// "reaped", have a kind of their own, which few tests name.
type kind string

// Expected describes events of a tree, for [Programs.WantEvents].
type Expected struct {
	kind   kind
	actor  string // "" for any
	cause  host.Cause
	detail string // the step or the endpoint
	not    bool
	any    []Expected // in any order
}

// Started expects that an actor is ready, with a first process or a next one.
func Started(actor string) Expected { return Expected{kind: "started", actor: actor} }

// Stopping expects that a process is being ended, or has died.
func Stopping(actor string, cause host.Cause) Expected {
	return Expected{kind: "stopping", actor: actor, cause: cause}
}

// Ended expects that a process is gone, or has not come up (host.NotUp).
func Ended(actor string, cause host.Cause) Expected {
	return Expected{kind: "ended", actor: actor, cause: cause}
}

// Restarting expects the pause before a restart.
func Restarting(actor string) Expected { return Expected{kind: "restarting", actor: actor} }

// Gone expects that an actor is over, for good.
func Gone(actor string) Expected { return Expected{kind: "gone", actor: actor} }

// Unhealthy expects that a health check has failed.
func Unhealthy(actor string) Expected { return Expected{kind: "unhealthy", actor: actor} }

// Healthy expects that an actor is healthy again.
func Healthy(actor string) Expected { return Expected{kind: "healthy", actor: actor} }

// Forced expects that a teardown uses force: "SIGTERM" or "SIGKILL".
func Forced(actor, step string) Expected {
	return Expected{kind: "forced", actor: actor, detail: step}
}

// TaskStuck expects that a task of an endpoint was told to end, and goes on.
func TaskStuck(actor, endpoint string) Expected {
	return Expected{kind: "task stuck", actor: actor, detail: endpoint}
}

// InAnyOrder expects events at one place whose order says nothing, as of actors that end side
// by side.
func InAnyOrder(events ...Expected) Expected { return Expected{any: events} }

// No expects that there is no such event.
func No(e Expected) Expected {
	e.not = true
	return e
}

// String is the expectation in a few words.
func (e Expected) String() string {
	words := []string{string(e.kind), e.actor, string(e.cause), e.detail}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// matches reports whether an event of the host's is what is expected.
func (e Expected) matches(came Expected) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return e.kind == came.kind && same(e.actor, came.actor) && same(string(e.cause), string(came.cause)) && same(e.detail, came.detail)
}

// kindOf says what an event of the host's is about, in the words of expectations.
func kindOf(e host.Event) Expected {
	x := Expected{actor: e.Actor.Name, cause: e.Cause}
	switch {
	case e.Stuck != "":
		x.kind, x.detail = "task stuck", e.Stuck
	case e.Step != "":
		x.kind, x.detail = "forced", e.Step
	case e.To == host.Ready && e.From == host.Unhealthy:
		x.kind = "healthy"
	case e.To == host.Ready:
		x.kind = "started"
	case e.To == host.Waiting && e.Pause > 0:
		x.kind = "restarting"
	case e.To == host.Reaped:
		x.kind = "ended"
	default:
		x.kind = kind(e.To)
	}
	return x
}

// WantEvents waits until the events have come that are expected, in this order. Each call goes
// on behind the last event of the one before.
//
// Of the kinds that it names, there must be no other: WantEvents(Ended("a", host.Crashed),
// Started("a")) fails if another actor has ended or started meanwhile. Kinds that it does not
// name do not count. So few words say much, and a test may say as much as it wants to: it
// names a kind, and nothing of that kind is left out.
//
// If something else has come, or not all comes within a minute, which is virtual in a bubble,
// the test fails and both lists are printed side by side.
func (p *Programs) WantEvents(want ...Expected) {
	p.t.Helper()
	bound := time.NewTimer(time.Minute)
	defer bound.Stop()
	for late := false; ; {
		p.settle()
		events, changed := p.events.unseen()
		l := compare(want, events)
		switch {
		case l.wrong || late && l.missing:
			p.t.Fatalf("the events of the tree are not those that are expected\n%s", l.report(events))
		case !l.missing:
			p.events.see(l.seen)
			return
		}
		select {
		case <-changed:
		case <-bound.C:
			late = true
		}
	}
}

// Events are all events so far.
func (p *Programs) Events() []host.Event {
	p.settle()
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return slices.Clone(p.events.all)
}

// comparison are an expected and a real list side by side.
type comparison struct {
	rows    []row
	seen    int  // events up to the last one that was expected
	wrong   bool // no event that comes can make it right
	missing bool
}

// row is an expectation and what has come in its place; one of the two may be "".
type row struct {
	want, came string
	fits       bool
}

// compare is the rule of [Programs.WantEvents].
func compare(want []Expected, events []host.Event) (c comparison) {
	var refused []Expected
	var places [][]Expected // what is expected at each place, in any order
	kinds := map[kind]bool{}
	for _, w := range want {
		switch {
		case w.not:
			refused = append(refused, w)
			continue
		case w.any != nil:
			places = append(places, slices.Clone(w.any))
		default:
			places = append(places, []Expected{w})
		}
		for _, one := range places[len(places)-1] {
			kinds[one.kind] = true
		}
	}
	for i, e := range events {
		came := kindOf(e)
		unwanted := slices.ContainsFunc(refused, func(r Expected) bool { return r.matches(came) })
		if !unwanted && !kinds[came.kind] {
			continue
		}
		c.place(&places, came, i, unwanted)
	}
	for _, place := range places {
		for _, one := range place {
			c.missing = true
			c.rows = append(c.rows, row{want: one.String()})
		}
	}
	if len(want) == len(refused) {
		c.seen = len(events)
	}
	return c
}

// place puts an event beside what is expected at the first place that is not full.
func (c *comparison) place(places *[][]Expected, came Expected, i int, unwanted bool) {
	if unwanted || len(*places) == 0 {
		c.wrong = true
		c.rows = append(c.rows, row{came: came.String()})
		return
	}
	here := (*places)[0]
	n := slices.IndexFunc(here, func(e Expected) bool { return e.matches(came) })
	fits := n >= 0
	if !fits {
		c.wrong, n = true, 0
	}
	c.rows = append(c.rows, row{here[n].String(), came.String(), fits})
	c.seen = i + 1
	if (*places)[0] = slices.Delete(here, n, n+1); len((*places)[0]) == 0 {
		*places = (*places)[1:]
	}
}

// report prints the rows, and below them all events as they came.
func (c comparison) report(events []host.Event) string {
	width := len("expected")
	for _, r := range c.rows {
		width = max(width, len(r.want))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "    %-*s      came\n", width, "expected")
	for _, r := range c.rows {
		sign := "≠"
		if r.fits {
			sign = "="
		}
		fmt.Fprintf(&b, "    %-*s  %s  %s\n", width, r.want, sign, r.came)
	}
	b.WriteString("all events since the last look:\n")
	for _, e := range events {
		fmt.Fprintf(&b, "    %s %s\n", e.Time.Format("15:04:05.000"), e)
	}
	return b.String()
}

// follower collects the events of a ctx, on a goroutine of its own.
type follower struct {
	stop   context.CancelFunc
	worker *task.Worker

	mu      sync.Mutex // guards the rest
	all     []host.Event
	seen    int
	changed chan struct{} // closed, and replaced, with each event
}

func (f *follower) begin(ctx context.Context) {
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.changed = make(chan struct{})
	f.worker = task.Start(func() {
		for e, err := range host.Events(ctx) {
			if err == nil {
				f.add(e)
			}
		}
	})
}

func (f *follower) end() {
	f.stop()
	f.worker.Wait()
}

func (f *follower) add(e host.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, e)
	close(f.changed)
	f.changed = make(chan struct{})
}

// unseen are the events that no expectation has passed, and a channel that the next one closes.
func (f *follower) unseen() ([]host.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all[f.seen:]), f.changed
}

func (f *follower) see(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen += n
}
