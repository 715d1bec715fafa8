// Package trace makes of spans what people look at: traces in a line each, and one of them as a waterfall. It reads
// nothing and prints nothing.
//
//	t := trace.Of(spans)
//	w := trace.New(spans, records)
//	for _, r := range w.Rows { fmt.Println(r.Text, w.Bar(&r, 32)) }
package trace

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Summary is what is known of a trace by its spans, as in a document.
type Summary struct {
	Trace    string           `json:"trace"`
	Time     time.Time        `json:"time"`
	Duration time.Duration    `json:"duration"` // in nanoseconds
	Name     string           `json:"name"`     // of its first span
	Actors   []string         `json:"actors"`   // paths; "" is the root
	Spans    int              `json:"spans"`
	Failed   int              `json:"failed"` // of the spans
	Status   telemetry.Status `json:"status"` // of its first span
	Error    string           `json:"error,omitempty"`
}

// Of is a trace of which there is one span at least.
func Of(spans []telemetry.Span) Summary {
	first := spans[0]
	end := first.Time
	t := Summary{Trace: first.Trace, Spans: len(spans)}
	actors := map[string]bool{}
	for _, s := range spans {
		if before := s.Time.Compare(first.Time); before < 0 || before == 0 && s.Parent == "" {
			first = s
		}
		if over := s.Time.Add(s.Duration); over.After(end) {
			end = over
		}
		if s.Status == telemetry.Failed || s.Status == telemetry.Deadline {
			t.Failed++
		}
		actors[s.Actor] = true
	}
	t.Time, t.Duration, t.Name, t.Status, t.Error = first.Time, end.Sub(first.Time), first.Name, first.Status, first.Error
	t.Actors = slices.Sorted(maps.Keys(actors))
	return t
}

// Outcome is the status of a trace, and how many spans inside have failed all the same.
func (t *Summary) Outcome() string {
	if t.Failed > 0 && t.Status == telemetry.OK {
		return fmt.Sprintf("ok, %d failed", t.Failed)
	}
	return string(t.Status)
}

// What is the name of its first span, in one harmless line.
func (t *Summary) What() string { return terminal.Line(words.Cut(t.Name)) }

// Who are the actors that take part.
func (t *Summary) Who() string {
	names := make([]string, len(t.Actors))
	for i, actor := range t.Actors {
		names[i] = cmp.Or(terminal.Line(actor), Root)
	}
	return words.List(names, ", ")
}

// Root stands for the root, which has no path.
const Root = "(root)"

// Short is a duration with as many digits as people read.
func Short(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}
