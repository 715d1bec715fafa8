package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/command/internal/trace"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// The messages that a [Model] is folded from.
type (
	// Size is that of the terminal, now.
	Size struct{ Width, Height int }
	// Press is a key, as Bubble Tea names it, with the text that it types if it types one. Text without a key was pasted.
	Press struct{ Key, Text string }
	// Measured is the table of one look at the tree.
	Measured struct{ Table top.Table }
	// Late is why there is no new one, until there is.
	Late struct{ Reason string }
	// Happened is an event of an actor. Past is that it was told before the screen was there.
	Happened struct {
		Event directory.Event
		Past  bool
	}
	// Said are records of a page of logs.
	Said struct {
		Page    int
		Records []telemetry.Record
	}
	// Ended are spans of a page of traces.
	Ended struct {
		Page  int
		Spans []telemetry.Span
	}
	// Described is what is known of the actor of a page, with the types of what it serves, and, for a page of contexts, of those
	// that it hosts.
	Described struct {
		Page  int
		Actor *inspect.Actor
		Shape []string
		Below []*inspect.Actor
	}
	// Failed is why a page does not get what it has asked for, or not all of it.
	Failed struct {
		Page   int
		Reason string
	}
	// Done is what has come of an order: why it has failed, or nothing.
	Done struct {
		Request Request
		Reason  string
	}
	// Over is that the host has ended, or that the link to it is lost.
	Over struct{ Reason string }
)

// Do is what is asked for.
type Do string

// What can be asked for.
const (
	Quit     Do = "quit"     // the end of the screen
	Describe Do = "describe" // one Described
	Contexts Do = "contexts" // one Described, with those below
	Logs     Do = "logs"     // records, until Leave
	Traces   Do = "traces"   // spans, likewise
	Leave    Do = "leave"    // no more records and spans for a page
	Restart  Do = "restart"  // an order, as those that follow: one Done
	Cancel   Do = "cancel"
	Scale    Do = "scale"
)

// Request is what whoever holds a model is to do.
type Request struct {
	Do    Do
	Path  string // of the actor; "" is the root
	Trace string // of records: the trace that they belong to, in the place of an actor
	Page  int    // which answers carry
	N     int    // replicas
}

// Options say what is shown.
type Options struct {
	Host     string // where it serves
	Sort     string // one of top.Columns
	ReadOnly bool   // orders are refused
}

// Bounds of what is kept. The oldest goes first.
const (
	mostEvents = 1000
	mostLines  = 5000
	mostSpans  = 20_000
)

// Model is what is shown. It is for one goroutine.
type Model struct {
	Options

	width, height int
	table         top.Table
	widths        []int           // of the columns: they grow only, so that nothing jumps
	told          map[string]told // by events, by paths; of one that is gone as long as tables have it
	failed        map[string]bool // who has failed and was not looked at since, by paths
	events        []happening
	refreshed     time.Time // when the page that is shown was asked for again
	late          string    // why the table is old

	pages  []*page // the last one is shown; the tree is the first
	last   int     // number of a page
	prompt *prompt
	notice part
	over   string // why there is nothing new any more
}

// New is a model of a tree of which nothing is known yet.
func New(o Options) *Model {
	o.Sort = cmp.Or(o.Sort, "name")
	return &Model{Options: o, width: 80, height: 24, told: map[string]told{}, failed: map[string]bool{}, widths: make([]int, len(columns)), pages: []*page{{kind: treePage, cursor: true}}}
}

// Update folds a message, and gives what it takes.
func (m *Model) Update(msg any) []Request {
	switch msg := msg.(type) {
	case Size:
		m.width, m.height = max(20, msg.Width), max(6, msg.Height)
	case Press:
		return m.press(msg)
	case Measured:
		return m.measured(msg.Table)
	case Late:
		m.late = msg.Reason
	case Happened:
		return m.happened(msg.Event, msg.Past)
	case answer:
		if p := m.page(msg.to()); p != nil {
			msg.fill(m, p)
		}
	case Done:
		m.notice = done(msg)
	case Over:
		m.over, m.prompt = cmp.Or(msg.Reason, "it has ended"), nil
	}
	return nil
}

// answer is a message for a page, which may be there no more.
type answer interface {
	to() int
	fill(m *Model, p *page)
}

func (a Said) to() int      { return a.Page }
func (a Ended) to() int     { return a.Page }
func (a Described) to() int { return a.Page }
func (a Failed) to() int    { return a.Page }

func (a Said) fill(_ *Model, p *page) {
	for i := range a.Records {
		p.add(recordLine(&a.Records[i]))
	}
}

func (a Ended) fill(_ *Model, p *page) {
	for i := range a.Spans {
		p.traces.add(&a.Spans[i])
	}
}

func (a Described) fill(m *Model, p *page) { p.describe(&a, m.row(p.path), m.width-2, m.table.Time) }

func (a Failed) fill(_ *Model, p *page) { p.reason = a.Reason }

// page is the page of a number, if it is still there.
func (m *Model) page(n int) *page {
	for _, p := range m.pages {
		if p.number == n && n > 0 {
			return p
		}
	}
	return nil
}

func (m *Model) shown() *page { return m.pages[len(m.pages)-1] }

func (m *Model) row(path string) *top.Row {
	i := slices.IndexFunc(m.table.Actors, func(r top.Row) bool { return r.Actor == path })
	if i < 0 {
		return nil
	}
	return &m.table.Actors[i]
}

// refreshAfter is when a description is asked for again that is shown: it costs its host more than numbers do.
const refreshAfter = 5 * time.Second

// measured takes the numbers of a look. What an actor is doing, its last event has told: the look may be of a moment before.
func (m *Model) measured(t top.Table) []Request {
	m.table, m.late = t, ""
	there := map[string]bool{}
	for i := range t.Actors {
		r := &t.Actors[i]
		there[r.Actor] = true
		if s, known := m.told[r.Actor]; known {
			r.State, r.Restarts = s.state, s.restarts
		}
		m.widen(r)
	}
	m.table.Actors = slices.DeleteFunc(t.Actors, func(r top.Row) bool { return r.State == string(directory.Gone) })
	for path, s := range m.told {
		if !there[path] && s.state == string(directory.Gone) {
			delete(m.told, path)
		}
	}
	m.order()
	for path := range m.failed {
		if m.row(path) == nil {
			delete(m.failed, path)
		}
	}
	if p := m.shown(); p.described() && t.Time.Sub(m.refreshed) >= refreshAfter {
		m.refreshed = t.Time
		return []Request{p.asks()}
	}
	return nil
}

// order sorts the actors: as a tree, or by a column.
func (m *Model) order() {
	if m.Sort != "name" {
		m.table.Sort(m.Sort)
		return
	}
	slices.SortFunc(m.table.Actors, func(a, b top.Row) int { return byTree(a.Actor, b.Actor) })
}

// byTree compares paths so that each actor stands behind its host and before whoever else is beside that.
func byTree(a, b string) int {
	if a == "" || b == "" {
		return strings.Compare(a, b)
	}
	return slices.CompareFunc(strings.Split(a, "/"), strings.Split(b, "/"), func(a, b string) int {
		return cmp.Or(strings.Compare(treepath.Name(a), treepath.Name(b)), cmp.Compare(treepath.Number(a), treepath.Number(b)))
	})
}

// told is what the last event of an actor says of it.
type told struct {
	state    string
	restarts uint64
}

// happening is an event, as a line.
type happening struct {
	at time.Time
	line
}

// happened takes an event: the state of its actor, a line of the strip, and whether it is trouble.
func (m *Model) happened(e directory.Event, past bool) (asked []Request) {
	if e.Path == "" {
		return nil
	}
	m.events = append(m.events, happening{e.Time, eventLine(&e)})
	if past { // they come in the order of paths
		slices.SortStableFunc(m.events, func(a, b happening) int { return a.at.Compare(b.at) })
	} else if failure(&e) {
		m.failed[e.Path] = true
	}
	m.events = m.events[max(0, len(m.events)-mostEvents):]
	now := told{string(e.To), uint64(max(0, e.Epoch-1))}
	m.told[e.Path] = now
	r := m.row(e.Path)
	switch {
	case e.To == directory.Gone:
		m.table.Actors = slices.DeleteFunc(m.table.Actors, func(r top.Row) bool { return r.Actor == e.Path })
	case r == nil:
		m.table.Actors = append(m.table.Actors, top.Row{Actor: e.Path, State: now.state, Restarts: now.restarts, Silent: "not asked yet"})
		m.order()
	default:
		r.State, r.Restarts = now.state, now.restarts
		m.widen(r)
	}
	if p := m.shown(); !past && p.described() && p.path == e.Path {
		asked = append(asked, p.asks())
	}
	return asked
}

// failure reports whether an event tells a failure, and not what somebody wanted.
func failure(e *directory.Event) bool {
	switch e.Cause {
	case directory.Crashed, directory.Transport, directory.Sick, directory.Stuck, directory.NotUp, directory.Lost:
		return true
	}
	return e.Stuck != ""
}

// trouble reports whether an actor is not as it should be, or has failed since somebody has last looked at it.
func (m *Model) trouble(r *top.Row) bool {
	return r.Health == "failed" || m.failed[r.Actor] ||
		r.State != string(directory.Ready) && r.State != string(directory.Standby) && r.State != string(directory.Starting)
}

func done(d Done) part {
	what := string(d.Request.Do) + " " + name(d.Request.Path)
	if d.Reason != "" {
		return part{what + ": " + d.Reason, bad}
	}
	return part{what + ": done", good}
}

// name is a path as it is shown.
func name(path string) string { return cmp.Or(path, trace.Root) }
