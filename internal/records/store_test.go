package records_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// all lets every record through that is there.
var all = telemetry.Filter{Level: -100}

func put(s *records.Store, actor, text string) {
	s.Put(telemetry.Record{Time: time.Now(), Actor: actor, Text: text})
}

// texts are those of the records that a loop gives, and how many it has missed.
func texts(t *testing.T, s telemetry.Source, f telemetry.Filter) (all []string, missed int) {
	t.Helper()
	for r, err := range s.Watch(t.Context(), f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			missed += lagged.Missed
		case err != nil:
			t.Fatal(err)
		default:
			all = append(all, r.Text)
		}
	}
	return all, missed
}

// O02: what there is comes in order; a loop that does not follow ends with what was there when
// it began, however much comes meanwhile.
func TestO02_WhatIsKeptComesInOrder(t *testing.T) {
	s := records.New("", 1000, 0, nil)
	var want []string
	for n := range 700 { // more than a loop takes at once
		want = append(want, fmt.Sprint(n))
		put(s, "a", want[n])
	}
	if got, missed := texts(t, s, all); !slices.Equal(got, want) || missed != 0 {
		t.Errorf("O02: %d records, %d missed; want %d in order", len(got), missed, len(want))
	}
	n := 0
	for range s.Watch(t.Context(), all) {
		put(s, "a", "more")
		n++
	}
	if n != 700 {
		t.Errorf("O02: a loop over 700 records has been given %d", n)
	}
}

// O02: an actor that floods loses its own oldest records and nobody else's, and a reader is
// told how many.
func TestO02_AFloodPushesOutOnlyItsOwn(t *testing.T) {
	s := records.New("", 1000, 0, nil)
	put(s, "", "of the root")
	put(s, "quiet", "first")
	for n := range 100_000 {
		put(s, fmt.Sprint("loud/", n%7), "x")
	}
	put(s, "quiet/below", "last")
	got, missed := texts(t, s, all)
	loud := len(got) - 3
	if got[0] != "of the root" || got[1] != "first" || got[len(got)-1] != "last" {
		t.Errorf("O02: the others have %q, %q and %q", got[0], got[1], got[len(got)-1])
	}
	if loud < 900 || loud > 1000 || missed != 100_000-loud {
		t.Errorf("O02: %d of 100000 are left, and %d told as missed", loud, missed)
	}
}

// O02: of those that say too much, each keeps as much as the others; one that says little
// keeps all of it.
func TestO02_ThoseThatSayMostShareWhatIsLeft(t *testing.T) {
	s := records.New("at", 1600, 0, nil)
	for n := range 10_000 {
		put(s, "at/loud", "x")
		if n%2 == 0 {
			put(s, "at/half#2/below", "x")
		}
		if n%50 == 0 {
			put(s, "at/quiet", "x")
		}
	}
	has := map[string]int{}
	for r := range s.Watch(t.Context(), all) {
		has[r.Actor]++
	}
	loud, half := has["at/loud"], has["at/half#2/below"]
	if has["at/quiet"] != 200 || loud < 600 || half < 600 || loud+half > 1400 {
		t.Errorf("O02: of 1600 records, the actors have %v", has)
	}
}

// O02: what is kept is bounded in bytes, too.
func TestO02_LargeRecordsCountAsSeveral(t *testing.T) {
	s := records.New("", 1000, 0, nil)
	large := strings.Repeat("x", 1<<20)
	for range 3000 {
		put(s, "a", large)
	}
	got, _ := texts(t, s, all)
	bytes := 0
	for _, text := range got {
		bytes += len(text)
	}
	if bytes > 1000<<10 || len(got) < 100 {
		t.Errorf("O02: %d records with %d bytes", len(got), bytes)
	}
}

// O02: a loop that follows gets what comes, is told what it has missed, and ends with its ctx
// or with the store. A record's path and the number of its fields count as well, however
// little they say.
func TestO02_WhatARecordTakesBesideItsTextsCounts(t *testing.T) {
	s := records.New("", 1000, 0, nil)
	for range 3000 {
		s.Put(telemetry.Record{Actor: "a/" + strings.Repeat("b", 4000)})
	}
	got, _ := texts(t, s, all)
	if most := 1000 / (4000 >> 10); len(got) > most {
		t.Errorf("O02: %d records with long paths, want %d at most", len(got), most)
	}
	s = records.New("", 1000, 0, nil)
	for range 3000 {
		s.Put(telemetry.Record{Actor: "a", Fields: make([]telemetry.Field, 60)})
	}
	if got, _ := texts(t, s, all); len(got) > 300 {
		t.Errorf("O02: %d records with 60 fields, want 300 at most", len(got))
	}
}

// A line may have a group with a long name and many fields: the name is not copied for each of them.
func TestO02_AGroupWithALongNameIsCutBeforeItIsFlattened(t *testing.T) {
	var many []slog.Attr
	for range 5000 {
		many = append(many, slog.Int("a", 1))
	}
	r := records.Of(time.Now(), slog.LevelInfo, "", []slog.Attr{{Key: strings.Repeat("k", 32<<10), Value: slog.GroupValue(many...)}})
	bytes := 0
	for _, f := range r.Fields {
		bytes += len(f.Key)
	}
	if len(r.Fields) != 5000 || bytes > 64*256 {
		t.Errorf("%d fields with %d bytes of names", len(r.Fields), bytes)
	}
}

// What JSON has no words for is a text, or nobody could read the records as JSON.
func TestO02_EveryRecordIsJSON(t *testing.T) {
	s := records.New("", 1000, 0, nil)
	s.Put(telemetry.Record{Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("far", 24*60*60)), Fields: []telemetry.Field{
		{Key: "nan", Value: math.NaN()}, {Key: "inf", Value: math.Inf(-1)}, {Key: "pi", Value: 3.14},
	}})
	for r, err := range s.Watch(t.Context(), telemetry.Filter{}) {
		text, failed := json.Marshal(r)
		if want := `{"time":"2019-12-31T00:00:00Z","level":"INFO","text":"","fields":[{"key":"nan","value":"NaN"},{"key":"inf","value":"-Inf"},{"key":"pi","value":3.14}]}`; errors.Join(err, failed) != nil || string(text) != want {
			t.Errorf("%s, %v; want %s", text, errors.Join(err, failed), want)
		}
	}
}

func TestO02_ALoopFollows(t *testing.T) {
	for name, finish := range map[string]bool{"the store ends": true, "the loop is ended": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := 0
				s := records.New("", 100, 0, func() { begun++ })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var got []string
				missed := 0
				slow, over := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(over)
					f := all
					f.Follow = true
					for r, err := range s.Watch(ctx, f) {
						if lagged, behind := errors.AsType[*fault.Lagged](err); behind {
							missed += lagged.Missed
							continue
						}
						got = append(got, r.Text)
						<-slow
					}
				}()
				synctest.Wait()
				put(s, "a", "0")
				synctest.Wait()
				for n := range 1000 { // it is still with the first one
					put(s, "a", fmt.Sprint(n+1))
				}
				close(slow)
				synctest.Wait()
				if len(got)+missed != 1001 || missed < 900 || got[0] != "0" || got[len(got)-1] != "1000" {
					t.Errorf("O02: a slow loop has been given %d, and missed %d", len(got), missed)
				}
				if finish {
					s.Finish()
				} else {
					cancel()
				}
				<-over
				if begun != 1 {
					t.Errorf("O02: the store has begun %d times", begun)
				}
			})
		})
	}
}

// A filter lets those through to which all of it applies.
func TestFilter(t *testing.T) {
	trace := strings.Repeat("ab", 16)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := telemetry.Record{
		Time: at, Actor: "census/parser#2", Level: slog.LevelWarn, Text: "it is late", Trace: trace,
		Fields: []telemetry.Field{{Key: "file", Value: "a b.go"}, {Key: "lines", Value: int64(12)}},
	}
	for _, c := range []struct {
		f    telemetry.Filter
		want bool
	}{
		{telemetry.Filter{}, true},
		{telemetry.Filter{Level: slog.LevelWarn}, true},
		{telemetry.Filter{Level: slog.LevelError}, false},
		{telemetry.Filter{Actor: "census"}, true},
		{telemetry.Filter{Actor: "parser"}, true},
		{telemetry.Filter{Actor: "census/parser#2"}, true},
		{telemetry.Filter{Actor: "census/parser"}, false},
		{telemetry.Filter{Actor: "walker"}, false},
		{telemetry.Filter{Since: at}, true},
		{telemetry.Filter{Since: at.Add(1)}, false},
		{telemetry.Filter{Trace: trace}, true},
		{telemetry.Filter{Trace: trace[1:]}, false},
		{telemetry.Filter{Grep: `^it is late file="a b\.go" lines=12$`}, true},
		{telemetry.Filter{Grep: "early"}, false},
		{telemetry.Filter{Grep: "late", Level: slog.LevelError}, false},
	} {
		passes, err := c.f.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := passes(&r); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
	for _, err := range records.New("", 1, 0, nil).Watch(t.Context(), telemetry.Filter{Grep: "("}) {
		if err == nil || !strings.Contains(err.Error(), "regular expression") {
			t.Errorf("a filter that cannot be: %v", err)
		}
	}
}

// O02: level, time, text, typed fields and the place in a trace stay what an author has logged.
func TestO02_RecordsKeepWhatWasLogged(t *testing.T) {
	trace, span := strings.Repeat("ab", 16), strings.Repeat("cd", 8)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	r := records.Of(at, slog.LevelError, "failed", []slog.Attr{
		slog.String("text", "a"), slog.Int("n", -1), slog.Uint64("u", 1<<63), slog.Float64("f", 1.5), slog.Bool("b", true),
		slog.String(records.TraceKey, trace), slog.String(records.SpanKey, span),
		slog.Group("g", slog.Int("n", 2), slog.Group("h", slog.Int("n", 3))),
		slog.Duration("took", time.Second), slog.Time("at", at), slog.Any("error", errors.New("no")), slog.Any("list", json.RawMessage(`[1,"x"]`)),
	})
	s := records.New("", 10, 0, nil)
	s.Put(r)
	var got telemetry.Record
	for r, err := range s.Watch(t.Context(), all) {
		if got = r; err != nil {
			t.Fatal(err)
		}
	}
	want := `failed text=a n=-1 u=9223372036854775808 f=1.5 b=true g.n=2 g.h.n=3 took=1s at=2026-01-02T03:04:05.000000006Z error=no list="[1,\"x\"]"`
	if got.String() != want || !got.Time.Equal(at) || got.Level != slog.LevelError || got.Trace != trace || got.Span != span {
		t.Errorf("O02: %s\nof %v, %v, %q, %q; want\n%s", &got, got.Time, got.Level, got.Trace, got.Span, want)
	}
	if n, ok := got.Fields[1].Value.(int64); !ok || n != -1 {
		t.Errorf("O02: %#v has become %#v", -1, got.Fields[1].Value)
	}
}

// O02: whatever a record says, it is one that may be kept and shown.
func TestO02_WhatARecordMayNotSayIsCut(t *testing.T) {
	var fields []telemetry.Field
	for n := range 1000 {
		fields = append(fields, telemetry.Field{Key: strings.Repeat("k", n), Value: strings.Repeat("v", 10*n)})
	}
	s := records.New("", 1000, 0, nil)
	s.Put(telemetry.Record{
		Time: time.Now().Add(time.Hour), Actor: "a", Text: strings.Repeat("x", 1<<20), Trace: "abc", Span: strings.Repeat("z", 16),
		Fields: append([]telemetry.Field{{Key: "deep", Value: map[string]any{"a": []any{1, "b"}}}}, fields...),
	})
	for r, err := range s.Watch(t.Context(), all) {
		last := r.Fields[len(r.Fields)-1]
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Time.After(time.Now()) || r.Trace != "" || r.Span != "":
			t.Errorf("O02: %v, %q, %q", r.Time, r.Trace, r.Span)
		case len(r.String()) > 16<<10:
			t.Errorf("O02: a record of %d bytes", len(r.String()))
		case r.Fields[0].Value != "map[a:[1 b]]":
			t.Errorf("O02: a value of another type is %#v", r.Fields[0].Value)
		case last.Key != "left_out" || last.Value != int64(1001-len(r.Fields)+1):
			t.Errorf("O02: of 1001 fields, %d are left, and the last is %v", len(r.Fields), last)
		}
	}
}

// O02: a store does not grow with how many have had most of it, one after the other.
func TestO02_PlacesAreGivenBack(t *testing.T) {
	const most, actors = 5000, 100
	s := records.New("", most, 0, nil)
	for i := range actors {
		for range most {
			put(s, fmt.Sprint("a", i), "")
		}
	}
	if n := s.Slots(); n > 4*most+16*actors {
		t.Errorf("O02: there are %d places for %d records", n, most)
	}
}
