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
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// kind is what an event is about. Those that only lead to another one, such as "stopping" to
// "reaped", have a kind of their own, which few tests name.
type kind string

// Expected describes events of a tree, for [Programs.WantEvents].
type Expected struct {
	kind   kind
	actor  string // "" for any
	cause  directory.Cause
	detail string // the step or the endpoint
	not    bool
	any    []Expected // in any order; not nil for those of InAnyOrder
}

// Started expects that an actor is ready, with a first process or a next one.
func Started(actor string) Expected { return Expected{kind: "started", actor: actor} }

// Stopping expects that a process is being ended, or has died.
func Stopping(actor string, cause directory.Cause) Expected {
	return Expected{kind: "stopping", actor: actor, cause: cause}
}

// Ended expects that a process is gone, or has not come up (directory.NotUp).
func Ended(actor string, cause directory.Cause) Expected {
	return Expected{kind: "ended", actor: actor, cause: cause}
}

// Restarting expects the pause before a restart.
func Restarting(actor string) Expected { return Expected{kind: "restarting", actor: actor} }

// Spare expects that a spare of an actor is ready.
func Spare(actor string) Expected { return Expected{kind: kind(directory.Standby), actor: actor} }

// SpareEnded expects that a spare is gone that no actor has taken, or has not come up (directory.NotUp).
func SpareEnded(actor string, cause directory.Cause) Expected {
	return Expected{kind: "spare ended", actor: actor, cause: cause}
}

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
// by side. Which of them an event is counted for does not depend on the order in which they are
// written.
func InAnyOrder(events ...Expected) Expected { return Expected{any: append([]Expected{}, events...)} }

// No expects that there is no such event so far, wherever it stands in the list; of InAnyOrder,
// that there is none of them.
func No(e Expected) Expected {
	e.not = true
	return e
}

// split gives the events that e expects, and those that it refuses.
func (e Expected) split() (expected, refused []Expected) {
	switch {
	case e.any == nil && e.not:
		return nil, []Expected{e}
	case e.any == nil:
		return []Expected{e}, nil
	}
	for _, one := range e.any {
		one.not = one.not || e.not
		x, r := one.split()
		expected, refused = append(expected, x...), append(refused, r...)
	}
	return expected, refused
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
func kindOf(e directory.Event) Expected {
	x := Expected{actor: e.Actor.Name, cause: e.Cause}
	switch {
	case e.Stuck != "":
		x.kind, x.detail = "task stuck", e.Stuck
	case e.To == directory.Gone:
		x.kind = kindOfGone(e)
	case e.Step != "":
		x.kind, x.detail = "forced", e.Step
	case e.To == directory.Ready && e.From == directory.Unhealthy:
		x.kind = "healthy"
	case e.To == directory.Ready:
		x.kind = "started"
	case e.To == directory.Waiting && e.Pause > 0:
		x.kind = "restarting"
	case e.To == directory.Reaped:
		x.kind = "ended"
	default:
		x.kind = kind(e.To)
	}
	return x
}

// kindOfGone keeps the end of an actor apart from those of a spare, which is handed out or has ended.
func kindOfGone(e directory.Event) kind {
	switch {
	case e.From == directory.Standby && e.Cause == "":
		return "spare taken"
	case e.From == directory.Standby, e.From == "":
		return "spare ended"
	}
	return kind(e.To)
}

// WantEvents waits until the events have come that are expected, in this order. Each call goes
// on behind the last event that was expected by the ones before.
//
// Of the kinds that it names, there must be no other: WantEvents(Ended("a", directory.Crashed),
// Started("a")) fails if another actor has ended or started meanwhile. Kinds that it does not
// name do not count. So few words say much, and a test may say as much as it wants to: it
// names a kind, and nothing of that kind is left out.
//
// It looks at what has come so far; in a bubble, at all that comes without time passing. In real
// time that hangs on the speed of the machine, if one more event of a kind comes about when the
// last expected one does, or if No refuses what comes a little later. So expect all events of a
// kind in one call there, and say No together with an event that comes after what is refused.
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
func (p *Programs) Events() []directory.Event {
	p.settle()
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return slices.Clone(p.events.all)
}

// comparison are an expected and a real list side by side.
type comparison struct {
	places  []place
	rows    []*row
	seen    int  // events up to the last one that was expected
	wrong   bool // no event that comes can make it right
	missing bool
}

// place is what is expected at one place of the list, in any order, and the row of each, which
// is nil until an event has come for it.
type place struct {
	want []Expected
	rows []*row
}

// row is an expectation and what has come in its place; one of the two may be the zero value.
type row struct {
	want, came Expected
	fits       bool
}

// compare is the rule of [Programs.WantEvents].
func compare(want []Expected, events []directory.Event) (c comparison) {
	var refused []Expected
	kinds := map[kind]bool{}
	for _, w := range want {
		expected, not := w.split()
		refused = append(refused, not...)
		c.places = append(c.places, place{expected, make([]*row, len(expected))})
		for _, one := range expected {
			kinds[one.kind] = true
		}
	}
	for i, e := range events {
		came := kindOf(e)
		unwanted := slices.ContainsFunc(refused, func(r Expected) bool { return r.matches(came) })
		if unwanted || kinds[came.kind] {
			c.put(came, i, unwanted)
		}
	}
	for _, p := range c.places {
		for n, r := range p.rows {
			if r == nil {
				c.missing = true
				c.rows = append(c.rows, &row{want: p.want[n]})
			}
		}
	}
	return c
}

// put puts an event beside what is expected at the first place that is not full.
func (c *comparison) put(came Expected, i int, unwanted bool) {
	r := &row{came: came}
	c.rows = append(c.rows, r)
	here := slices.IndexFunc(c.places, func(p place) bool { return slices.Contains(p.rows, nil) })
	if unwanted || here < 0 {
		c.wrong = true
		return
	}
	c.seen = i + 1
	p := c.places[here]
	if r.fits = p.take(r, make([]bool, len(p.want))); !r.fits {
		c.wrong = true
		free := slices.Index(p.rows, nil)
		r.want, p.rows[free] = p.want[free], r
	}
}

// take gives an event an expectation that it fits. If other events have all of those, one of
// these is moved to another that it fits as well, so that no earlier choice is in the way. It
// reports whether there is one for all; an expectation that is marked in tried is not tried again.
func (p place) take(r *row, tried []bool) bool {
	for n, w := range p.want {
		if tried[n] || !w.matches(r.came) {
			continue
		}
		tried[n] = true
		if p.rows[n] == nil || p.take(p.rows[n], tried) {
			r.want, p.rows[n] = w, r
			return true
		}
	}
	return false
}

// report prints the rows, and below them all events as they came.
func (c comparison) report(events []directory.Event) string {
	width := len("expected")
	for _, r := range c.rows {
		width = max(width, len(r.want.String()))
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
	all     []directory.Event
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

func (f *follower) add(e directory.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, e)
	close(f.changed)
	f.changed = make(chan struct{})
}

// unseen are the events that no expectation has passed, and a channel that the next one closes.
func (f *follower) unseen() ([]directory.Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all[f.seen:]), f.changed
}

func (f *follower) see(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen += n
}
