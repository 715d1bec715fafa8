package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// waterfall is one trace as people read it: each span below the one that it belongs to, in the order of time, with a
// bar that says when it was. It is filled in once.
type waterfall struct {
	traced

	below   map[string][]*telemetry.Span   // by the span that they belong to
	records map[string][]*telemetry.Record // the same
	shown   map[*telemetry.Span]bool       // a span may pretend to be below itself
	rows    []waterfallRow
}

// waterfallRow is a line: a span, or something in one.
type waterfallRow struct {
	depth    int
	text     string
	actor    string
	at       time.Time
	duration time.Duration
	note     bool // not a span
}

// mostDepth is how far spans are indented, at most.
const mostDepth = 16

// barWidth is how wide bars are, in characters.
const barWidth = 32

func newWaterfall(spans []telemetry.Span, records []telemetry.Record) *waterfall {
	w := &waterfall{traced: summary(spans), below: map[string][]*telemetry.Span{}, records: map[string][]*telemetry.Record{}, shown: map[*telemetry.Span]bool{}}
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
func (w *waterfall) add(s *telemetry.Span, depth int) {
	if w.shown[s] {
		return
	}
	w.shown[s] = true
	text := s.Name
	if s.Status != telemetry.OK {
		text += " (" + string(s.Status) + ")"
	}
	w.rows = append(w.rows, waterfallRow{depth: depth, text: text, actor: cmp.Or(s.Actor, rootName), at: s.Time, duration: s.Duration})
	w.inside(s.Span, s, depth+1)
	if s.Error != "" {
		w.rows = append(w.rows, waterfallRow{depth: depth + 1, text: "error: " + s.Error, at: s.Time.Add(s.Duration), note: true})
	}
}

// inside adds what has happened in a span, in the order of time.
func (w *waterfall) inside(id string, s *telemetry.Span, depth int) {
	type item struct {
		at  time.Time
		add func()
	}
	var items []item
	note := func(at time.Time, text string) {
		items = append(items, item{at, func() { w.rows = append(w.rows, waterfallRow{depth: depth, text: text, at: at, note: true}) }})
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
				note(s.Time.Add(s.Duration), fmt.Sprintf("%s in all: %s, %s", what, plural(int(t.Messages), "message"), plural(int(t.Bytes), "byte")))
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

// bar says when something was, within the whole.
func (w *waterfall) bar(r *waterfallRow) string {
	column := func(at time.Time) int {
		return int(min(max(0, at.Sub(w.Time)*barWidth/max(1, w.Duration)), barWidth-1))
	}
	from, to, mark := column(r.at), column(r.at.Add(r.duration)), "="
	if r.note {
		mark = "."
	}
	return strings.Repeat(" ", from) + strings.Repeat(mark, to-from+1) + strings.Repeat(" ", barWidth-1-to)
}

// printTrace prints one trace: as a waterfall, or as a document.
func (p *program) printTrace(spans []telemetry.Span, records []telemetry.Record) error {
	slices.SortStableFunc(spans, func(a, b telemetry.Span) int { return a.Time.Compare(b.Time) })
	if p.output == "json" {
		return p.printJSON(struct {
			Version int                `json:"version"`
			Trace   string             `json:"trace"`
			Spans   []telemetry.Span   `json:"spans"`
			Records []telemetry.Record `json:"records,omitempty"`
		}{document.Version, spans[0].Trace, spans, records})
	}
	w := newWaterfall(spans, records)
	if _, err := fmt.Fprintf(p.stdout, "%s  %s  %v  %s  %s\n\n", w.Trace, w.Time.Local().Format(timeOfDay), short(w.Duration), w.outcome(), plural(w.Spans, "span")); err != nil {
		return err
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(tab, "SPAN\tACTOR\tAT\tTOOK\t|%s|\n", strings.Repeat(" ", barWidth)) // Flush reports it
	for _, r := range w.rows {
		took := ""
		if !r.note {
			took = short(r.duration).String()
		}
		_, _ = fmt.Fprintf(tab, "%s%s\t%s\t%v\t%s\t|%s|\n", strings.Repeat("  ", min(r.depth, mostDepth)), terminal.Line(words.Cut(r.text)),
			terminal.Line(r.actor), short(r.at.Sub(w.Time)), took, w.bar(&r))
	}
	return tab.Flush()
}
