package command

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/command/internal/trace"
	kept "github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// aTrace is what is kept of a call with a call inside, which has failed, in the order in which it came.
func aTrace(id string, failing bool) ([]telemetry.Span, []telemetry.Record) {
	began := time.Date(2026, 5, 4, 15, 0, 0, 123e6, time.UTC)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	span := func(n, parent byte, actor string, kind telemetry.SpanKind, name string, from, to int) telemetry.Span {
		s := telemetry.Span{
			Time: at(from), Duration: at(to).Sub(at(from)), Actor: actor, Name: name, Kind: kind, Trace: strings.Repeat(id, 16),
			Span: strings.Repeat("0", 15) + string('0'+n), Status: telemetry.OK, Service: "census", Method: "count",
		}
		if parent > 0 {
			s.Parent = strings.Repeat("0", 15) + string('0'+parent)
		}
		return s
	}
	spans := []telemetry.Span{
		span(4, 3, "census/parser", telemetry.Server, "serve parser/parse", 30, 60),
		span(3, 2, "census", telemetry.Client, "call parser/parse", 25, 75),
		span(2, 1, "census", telemetry.Server, "serve census/count", 5, 95),
		span(1, 0, "", telemetry.Client, "open census/count", 0, 100),
	}
	spans[2].Sent = telemetry.Traffic{Messages: 10, Bytes: 640}
	spans[2].Events = []telemetry.SpanEvent{{Time: at(6), Name: "started"}, {Time: at(80), Name: "sent", Fields: []telemetry.Field{{Key: "messages", Value: int64(10)}}}}
	if failing {
		spans[0].Status, spans[0].Error, spans[0].Type = telemetry.Failed, "a\x1b[2Jb: file not found", "fs.ErrNotExist"
	}
	return spans, []telemetry.Record{{Time: at(50), Actor: "census/parser", Level: 4, Text: "slow", Trace: spans[0].Trace, Span: spans[0].Span}}
}

// O03: traces have fixed shapes, for people and for programs; whatever actors have named and said cannot steer a terminal.
func TestO03_ShapesOfTraces(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	defer func() { time.Local = local }()
	spans, records := aTrace("0a", true)
	others, _ := aTrace("1b", false)
	list := []trace.Summary{trace.Of(spans), trace.Of(others)}
	for name, write := range map[string]func(p *program) error{
		"traces.txt":  func(p *program) error { return p.printTraces(list) },
		"traces.json": func(p *program) error { p.output = "json"; return p.printTraces(list) },
		"trace.txt":   func(p *program) error { return p.printTrace(slices.Clone(spans), nil) },
		"trace.json":  func(p *program) error { p.output = "json"; return p.printTrace(slices.Clone(spans), records) },
		"logged.txt":  func(p *program) error { return p.printTrace(slices.Clone(spans), records) },
	} {
		var out bytes.Buffer
		if err := write(&program{stdout: &out}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "shapes", name)
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) || strings.HasSuffix(name, ".txt") && strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s is\n%s\nwant\n%s", name, out.String(), want)
		}
	}
}

// O03: spans of which others are missing, or that pretend to be below each other, are all shown, once.
func TestO03_AWaterfallShowsEverySpanOnce(t *testing.T) {
	spans, records := aTrace("0a", false)
	for name, parents := range map[string][4]string{
		"a circle":                {spans[1].Span, spans[2].Span, spans[3].Span, spans[0].Span},
		"itself":                  {spans[0].Span, spans[1].Span, spans[2].Span, spans[3].Span},
		"what is not kept":        {"a", "b", "c", "d"},
		"two with the same place": {spans[3].Span, spans[3].Span, spans[3].Span, ""},
	} {
		broken := slices.Clone(spans)
		for i, parent := range parents {
			broken[i].Parent = parent
		}
		shown := 0
		for _, r := range trace.New(broken, records).Rows {
			if !r.Note {
				shown++
			}
		}
		if shown != len(spans) {
			t.Errorf("O03: %s: %d of %d spans are shown", name, shown, len(spans))
		}
	}
}

// O03: a list has those traces that the flags choose.
func TestO03_ChosenTraces(t *testing.T) {
	spans, _ := aTrace("0a", true)
	others, _ := aTrace("1b", false)
	failed, well := trace.Of(spans), trace.Of(others)
	if failed.Failed != 1 || failed.Status != telemetry.OK || failed.Duration != 100*time.Millisecond || failed.Name != "open census/count" || well.Failed != 0 {
		t.Errorf("O03: %+v and %+v", failed, well)
	}
	for name, c := range map[string]struct {
		w    chosen
		want [2]bool
	}{
		"all":             {chosen{}, [2]bool{true, true}},
		"errors":          {chosen{errors: true}, [2]bool{true, false}},
		"slow":            {chosen{slow: 101 * time.Millisecond}, [2]bool{false, false}},
		"as slow":         {chosen{slow: 100 * time.Millisecond}, [2]bool{true, true}},
		"later":           {chosen{since: well.Time.Add(1)}, [2]bool{false, false}},
		"an actor":        {chosen{actor: "parser"}, [2]bool{true, true}},
		"one by its path": {chosen{actor: "census/parser"}, [2]bool{true, true}},
		"another one":     {chosen{actor: "walker"}, [2]bool{false, false}},
	} {
		if got := [2]bool{c.w.chooses(failed), c.w.chooses(well)}; got != c.want {
			t.Errorf("O03: %s: %v, want %v", name, got, c.want)
		}
	}
}

// O03: a trace is printed when nothing more has come of it for a while, and one whose first span is still to come later.
func TestO03_ATraceIsPrintedWhenItIsOver(t *testing.T) {
	spans, _ := aTrace("0a", false)
	now := time.Now()
	all := map[string]*pending{
		"whole": {spans: spans, last: now.Add(-quiet), whole: true},
		"new":   {spans: spans, last: now.Add(-quiet + 1), whole: true},
		"part":  {spans: spans, last: now.Add(-quiet)},
		"stale": {spans: spans, last: now.Add(-quietLong)},
	}
	var out bytes.Buffer
	if err := (&program{stdout: &out}).printOver(all, now, chosen{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "open census/count"); n != 2 || len(all) != 2 || all["new"] == nil || all["part"] == nil {
		t.Errorf("O03: %d traces are printed, and %d wait:\n%s", n, len(all), out.String())
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// O03: following ends when its output takes nothing more, also while nothing comes.
func TestO03_FollowingEndsWithItsOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := kept.New("", 10, 10, nil)
		tracing.Put(store, 0, tracing.Ended{Numbers: &tracing.Numbers{Trace: [16]byte{1}, ID: [8]byte{1}, Time: time.Now().UnixNano()}})
		if err := (&program{stdout: fullDisk{}}).followTraces(telemetry.With(t.Context(), store), chosen{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("O03: %v", err)
		}
	})
}
