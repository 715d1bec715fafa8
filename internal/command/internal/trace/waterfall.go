package trace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Waterfall is one trace as people read it: each span below the one that it belongs to, in the order of time, with a
// bar that says when it was. It is filled in once.
type Waterfall struct {
	Summary

	Rows []Row

	below   map[string][]*telemetry.Span   // by the span that they belong to
	records map[string][]*telemetry.Record // the same
	shown   map[*telemetry.Span]bool       // a span may pretend to be below itself
}

// Row is a line: a span, or something in one. What it says is the actors' word.
type Row struct {
	Depth    int // at most 16
	Text     string
	Actor    string
	At       time.Time
	Duration time.Duration
	Note     bool // not a span
}

// mostDepth is how far spans are indented, at most.
const mostDepth = 16

// New is the waterfall of a trace of which there is one span at least, with what was logged in it.
func New(spans []telemetry.Span, records []telemetry.Record) *Waterfall {
	w := &Waterfall{Summary: Of(spans), below: map[string][]*telemetry.Span{}, records: map[string][]*telemetry.Record{}, shown: map[*telemetry.Span]bool{}}
	there := map[string]bool{}
	for _, s := range spans {
		there[s.Span] = true
	}
	place := func(id string) string {
		if there[id] {
			return id
		}
		return "" // what it belongs to is not kept
	}
	for i := range spans {
		parent := place(spans[i].Parent)
		w.below[parent] = append(w.below[parent], &spans[i])
	}
	for i := range records {
		at := place(records[i].Span)
		w.records[at] = append(w.records[at], &records[i])
	}
	w.inside("", nil, 0)
	for i := range spans {
		w.add(&spans[i], 0) // those that are below each other
	}
	return w
}

// add adds a span, and all that is in it.
func (w *Waterfall) add(s *telemetry.Span, depth int) {
	if w.shown[s] {
		return
	}
	w.shown[s] = true
	text := s.Name
	if s.Status != telemetry.OK {
		text += " (" + string(s.Status) + ")"
	}
	w.Rows = append(w.Rows, Row{Depth: min(depth, mostDepth), Text: text, Actor: cmp.Or(s.Actor, Root), At: s.Time, Duration: s.Duration})
	w.inside(s.Span, s, depth+1)
	if s.Error != "" {
		w.Rows = append(w.Rows, Row{Depth: min(depth+1, mostDepth), Text: "error: " + s.Error, At: s.Time.Add(s.Duration), Note: true})
	}
}

// inside adds what has happened in a span, in the order of time.
func (w *Waterfall) inside(id string, s *telemetry.Span, depth int) {
	type item struct {
		at  time.Time
		add func()
	}
	var items []item
	note := func(at time.Time, text string) {
		items = append(items, item{at, func() { w.Rows = append(w.Rows, Row{Depth: min(depth, mostDepth), Text: text, At: at, Note: true}) }})
	}
	if s != nil {
		for _, e := range s.Events {
			var text strings.Builder
			text.WriteString(e.Name)
			for _, f := range e.Fields {
				text.WriteString(f.String())
			}
			note(e.Time, text.String())
		}
		counted := func(what string, t telemetry.Traffic) {
			if t.Messages > 0 {
				note(s.Time.Add(s.Duration), fmt.Sprintf("%s in all: %s, %s", what, count(t.Messages, "message"), count(t.Bytes, "byte")))
			}
		}
		counted("sent", s.Sent)
		counted("received", s.Received)
	}
	for _, r := range w.records[id] {
		note(r.Time, r.Level.String()+" "+r.String())
	}
	for _, child := range w.below[id] {
		items = append(items, item{child.Time, func() { w.add(child, depth) }})
	}
	slices.SortStableFunc(items, func(a, b item) int { return a.at.Compare(b.at) })
	for _, i := range items {
		i.add()
	}
}

// Bar says in so many characters when something was, within the whole.
func (w *Waterfall) Bar(r *Row, width int) string {
	column := func(at time.Time) int {
		return min(max(0, int(at.Sub(w.Time)*time.Duration(width)/max(1, w.Duration))), width-1)
	}
	from, to, mark := column(r.At), column(r.At.Add(r.Duration)), "="
	if r.Note {
		mark = "."
	}
	return strings.Repeat(" ", from) + strings.Repeat(mark, to-from+1) + strings.Repeat(" ", width-1-to)
}

// count is a number of things, in words.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
