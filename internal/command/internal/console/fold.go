package console

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/command/internal/top"
	"github.com/seed-2ba35074/trellis/internal/command/internal/trace"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

const (
	clock     = "15:04:05"
	clockLong = "15:04:05.000"
)

// eventLine is an event, as the strip and the page of events have it. It opens its actor.
func eventLine(e *directory.Event) line {
	l := line{opens: e.Path, wrong: failure(e)}
	l.parts = []part{{e.Time.Local().Format(clock) + " ", dim}, {e.Path + " ", named}}
	if e.From != "" && e.From != e.To {
		l.parts = append(l.parts, part{string(e.From) + " → ", dim})
	}
	look := toneOf(string(e.To))
	if l.wrong {
		look = bad
	}
	l.parts = append(l.parts, part{string(e.To), look})
	for _, more := range []struct{ before, text, behind string }{
		{", ", e.Step, ""}, {" (", string(e.Cause), ")"}, {", stuck in ", e.Stuck, ""}, {", refused a call of ", e.Refused, ""}, {": ", e.Reason, ""},
	} {
		if more.text != "" {
			l.parts = append(l.parts, part{more.before + more.text + more.behind, plain})
		}
	}
	if e.Missed > 0 {
		l.parts = append(l.parts, part{fmt.Sprintf(", %d events were lost", e.Missed), warn})
	}
	return l
}

// recordLine is a record. It opens its actor.
func recordLine(r *telemetry.Record) line {
	look := good
	switch {
	case r.Level >= slog.LevelError:
		look = bad
	case r.Level >= slog.LevelWarn:
		look = warn
	case r.Level < slog.LevelInfo:
		look = dim
	}
	return line{opens: r.Actor, wrong: r.Level >= slog.LevelError, parts: []part{
		{r.Time.Local().Format(clockLong) + " ", dim}, {fmt.Sprintf("%-5s ", r.Level), look}, {name(r.Actor), named},
		{"  " + r.Text, plain}, {strings.TrimPrefix(r.String(), r.Text), dim},
	}}
}

// numbersLines have the numbers of an actor, those included for which the table had no room, in lines of so many cells.
func numbersLines(r *top.Row, width int) (lines []line) {
	const label, value = 8, 10
	for i := range columns {
		if i%max(1, width/(label+1+value)) == 0 {
			lines = append(lines, line{})
		}
		text, t := columns[i].text(r)
		l := &lines[len(lines)-1]
		l.parts = append(l.parts, part{pad(columns[i].head, label, false) + " ", titled}, part{pad(text, value, false), t})
	}
	return lines
}

// described is a line of a description, whose label is the first word in it.
func described(text string) line {
	const label = 10
	if len(text) <= label || strings.HasPrefix(text, " ") || text[label-1] != ' ' {
		return textLine(plain, text)
	}
	word := strings.TrimSpace(text[:label])
	l := line{wrong: word == "failed", parts: []part{{text[:label], titled}, {text[label:], plain}}}
	if l.wrong {
		l.parts[1].tone = bad
	}
	return l
}

// contextLines are the open contexts of an actor: at its own end of the link with its host, at the other end, and at its
// ends of the links with those that it hosts.
func contextLines(d *Described, now time.Time) (lines []line) {
	a := d.Actor
	switch {
	case a.Process == nil:
		lines = append(lines, textLine(bad, "it does not say what it has open: "+a.Silent))
	case a.Path != "":
		lines = append(lines, contextTable("with its host", a.Process.Contexts, a.Process.More, now)...)
	}
	if a.Path != "" {
		lines = append(append(lines, line{}), contextTable("the same, as its host has it", a.Contexts, a.More, now)...)
	}
	for _, child := range d.Below {
		lines = append(append(lines, line{}), contextTable("with "+child.Path, child.Contexts, child.More, now)...)
	}
	if len(lines) > 0 && len(lines[0].parts) == 0 {
		lines = lines[1:]
	}
	return lines
}

// contextTable has a line for each context of one end of a link, the oldest first.
func contextTable(whose string, all []dialog.Info, more int, now time.Time) []line {
	lines := []line{{parts: []part{{whose, titled}, {fmt.Sprintf(": %d open", len(all)+more), plain}}}}
	if len(all) == 0 {
		return lines
	}
	rows := [][]string{contextHeads}
	for i := range all {
		rows = append(rows, contextCells(&all[i], now))
	}
	widths := make([]int, len(contextHeads))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], min(cells(text), 28))
		}
	}
	for n, row := range rows {
		l := line{wrong: n > 0 && all[n-1].Stuck}
		for i, text := range row {
			look := plain
			switch {
			case n == 0, text == "0", text == none:
				look = dim
			case l.wrong && contextHeads[i] == "WAITS FOR":
				look = bad
			case contextHeads[i] == "UNREAD":
				look = warn
			}
			l.parts = append(l.parts, part{pad(text, widths[i], i >= 4 && i < 8) + "  ", look}) // the numbers are right
		}
		lines = append(lines, l)
	}
	if more > 0 {
		lines = append(lines, textLine(dim, fmt.Sprintf("and %d more", more)))
	}
	return lines
}

var contextHeads = []string{"WHAT", "WITH", "FOR", "WAITS FOR", "UNREAD", "CREDIT", "SENT", "RECEIVED", "PHASE"}

// contextCells are those of a context. An arrow leads from its opener to its callee.
func contextCells(c *dialog.Info, now time.Time) []string {
	with := map[string]string{dialog.RoleOpener: "→ ", dialog.RoleCallee: "← "}[c.Role] + c.Peer
	age, waits := none, cmp.Or(c.Waits, none)
	if !c.Since.IsZero() {
		age = top.Age(max(0.001, now.Sub(c.Since).Seconds())) // it may have begun since that look
	}
	if c.Stuck {
		waits = "its end, which does not come"
	}
	return []string{
		cmp.Or(strings.TrimSpace(c.Endpoint+" "+c.Kind), "relayed"), with, age, waits,
		strconv.Itoa(c.Queued), strconv.Itoa(c.Credit), strconv.FormatUint(c.Sent, 10), strconv.FormatUint(c.Received, 10), cmp.Or(c.Phase, none),
	}
}

// traceList are the traces of spans that have come. Of more than mostSpans spans the oldest traces are let go.
type traceList struct {
	spans map[string][]telemetry.Span
	order []string // ids, as their first spans have come
	n     int      // spans
	made  []line   // nil: something has come since
}

func (t *traceList) add(s *telemetry.Span) {
	if t.spans == nil {
		t.spans = map[string][]telemetry.Span{}
	}
	if _, known := t.spans[s.Trace]; !known {
		t.order = append(t.order, s.Trace)
	}
	t.spans[s.Trace], t.made = append(t.spans[s.Trace], *s), nil
	for t.n++; t.n > mostSpans && len(t.order) > 1; {
		t.n -= len(t.spans[t.order[0]])
		delete(t.spans, t.order[0])
		t.order = t.order[1:]
	}
}

// lines are the traces in which an actor takes part, or one below it, in the order in which they began. Each opens its waterfall.
func (t *traceList) lines(path string) []line {
	if t.made != nil {
		return t.made
	}
	all := make([]trace.Summary, 0, len(t.spans))
	for _, spans := range t.spans {
		all = append(all, trace.Of(spans))
	}
	slices.SortFunc(all, func(a, b trace.Summary) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Trace, b.Trace)) })
	t.made = make([]line, 0, len(all))
	for _, s := range all {
		if !slices.ContainsFunc(s.Actors, func(actor string) bool { return about(actor, path) }) {
			continue
		}
		look := good
		if s.Failed > 0 {
			look = bad
		}
		t.made = append(t.made, line{opens: s.Trace, wrong: s.Failed > 0, parts: []part{
			{s.Time.Local().Format(clockLong) + " ", dim}, {fmt.Sprintf("%.8s ", s.Trace), dim}, {fmt.Sprintf("%9v  ", trace.Short(s.Duration)), plain},
			{pad(s.Outcome(), 12, false) + "  ", look}, {s.What(), plain}, {"  " + s.Who(), named},
		}})
	}
	return t.made
}

// waterfallLines are the spans of a trace, each below the one that it belongs to.
func (m *Model) waterfallLines(p *page) []line {
	var spans []telemetry.Span
	for _, below := range m.pages {
		if below.kind == tracesPage {
			spans = below.traces.spans[p.trace]
		}
	}
	if len(spans) == 0 {
		return nil
	}
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b telemetry.Span) int { return a.Time.Compare(b.Time) })
	w := trace.New(spans, nil)
	what, who := 0, 0
	for _, r := range w.Rows {
		what, who = max(what, 2*r.Depth+cells(r.Text)), max(who, cells(r.Actor))
	}
	who = min(who, m.width/4)
	what = min(what, max(20, m.width-who-42))
	narrow := m.width < 72                // there is no room for when each span has begun: its bar says that
	bars := max(8, m.width-2-what-who-24) // what else there is in a row: the marks, gaps and times
	if narrow {
		bars = max(8, m.width-2-what-who-14)
	}
	var lines []line
	for _, r := range w.Rows {
		text, began := strings.Repeat("  ", r.Depth)+r.Text, fmt.Sprintf("%8v  ", trace.Short(r.At.Sub(w.Time)))
		if narrow {
			began = ""
		}
		l := line{wrong: strings.HasPrefix(r.Text, "error: ")}
		switch {
		case l.wrong:
			l.parts = []part{{pad(text, what+2+who, false) + "  ", bad}}
		case r.Note:
			l.parts = []part{{pad(text, what+2+who, false) + "  ", dim}}
		default:
			l.parts = []part{{pad(text, what, false) + "  ", plain}, {pad(r.Actor, who, false) + "  ", named}}
		}
		took, look := "", dim
		if !r.Note {
			took, look = trace.Short(r.Duration).String(), plain
		}
		l.parts = append(l.parts, part{began + fmt.Sprintf("%8s  ", took), dim}, part{w.Bar(&r, bars), look})
		lines = append(lines, l)
	}
	return lines
}
