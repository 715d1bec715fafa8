package report_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func spanOf(actor, name string) *telemetry.Span {
	return &telemetry.Span{
		Time: time.Now(), Actor: actor, Name: name, Kind: telemetry.Server, Trace: strings.Repeat("a", 32), Span: strings.Repeat("b", 16), Status: telemetry.OK,
		Sent: telemetry.Traffic{Messages: 1, Bytes: 2}, Events: []telemetry.SpanEvent{{Time: time.Now(), Name: "sent", Fields: []telemetry.Field{{Key: "messages", Value: int64(1)}}}},
	}
}

// done are the spans of a source, with their actors, and how many are missing.
func done(t *testing.T, s telemetry.Source, f telemetry.Filter) (all []string, missed int) {
	t.Helper()
	for s, err := range s.WatchSpans(t.Context(), f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			missed += lagged.Missed
		case err != nil:
			t.Fatal(err)
		default:
			all = append(all, s.Actor+": "+s.Name)
		}
	}
	return all, missed
}

// O03: the spans of an actor and of those below it come to its host, in the dialog of their records, and its host shows them.
func TestO03_SpansGoUpAndAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		above, below := records.New("", 1000, 1000, nil), records.New("mid", report.MostOnTheWay, report.MostOnTheWay, nil)
		host, child, received := speakers(t, above)
		sent := make(chan error, 1)
		go func() { sent <- report.SendRecords(t.Context(), child, "mid", below) }()
		below.PutSpans(0, spanOf("mid", "one"), spanOf("mid/leaf", "two"))
		below.Put(telemetry.Record{Actor: "mid", Time: time.Now(), Text: "hello"})
		below.PutSpans(3, spanOf("mid/leaf", "three"))
		below.Finish()
		if err := errors.Join(<-sent, <-received); err != nil {
			t.Error(err)
		}
		want := []string{"mid: one", "mid/leaf: two", "mid/leaf: three"}
		got, missed := done(t, above, telemetry.Filter{})
		if !slices.Equal(got, want) || missed != 3 {
			t.Errorf("O03: the host has %q, and has missed %d", got, missed)
		}
		if got := said(t, above, telemetry.Filter{}); !slices.Equal(got, []string{"mid: hello"}) {
			t.Errorf("O03: beside the spans, the host has %q", got)
		}
		shown := report.Records{Store: below, Host: endpoint.To(child)}
		if got, missed := done(t, shown, telemetry.Filter{Actor: "leaf"}); !slices.Equal(got, want[1:]) || missed != 3 {
			t.Errorf("O03: the host shows %q, and that it has missed %d", got, missed)
		}
		part(host, child, errors.New("it is over"))
	})
}

// O03: spans that are more than what is taken are lost at the actor, the oldest first; all of them are there or told as lost.
func TestO03_AFloodOfSpansIsTakenAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 20_000
		above, below := records.New("", 1, flood, nil), records.New("mid", 1, report.MostOnTheWay, nil)
		host, child, received := speakers(t, above)
		sent := make(chan error, 1)
		go func() { sent <- report.SendRecords(t.Context(), child, "mid", below) }()
		large := strings.Repeat("x", 1000)
		for n := range flood {
			s := spanOf("mid", fmt.Sprint(n))
			if n%500 == 0 {
				s.Error, s.Fields = large, slices.Repeat([]telemetry.Field{{Key: "k", Value: large}}, 20)
				synctest.Wait() // no time passes
			}
			below.PutSpans(0, s)
		}
		below.Finish()
		if err := errors.Join(<-sent, <-received); err != nil {
			t.Error(err)
		}
		came, missed := done(t, above, telemetry.Filter{})
		if len(came)+missed != flood || missed == 0 || len(came) < report.MostOnTheWay/4 || came[len(came)-1] != fmt.Sprintf("mid: %d", flood-1) {
			t.Errorf("O03: %d of %d spans came, and %d were told as lost", len(came), flood, missed)
		}
		part(host, child, errors.New("it is over"))
	})
}

// O03: whatever an actor tells, they are spans of itself and of those below it, which cost its host no more than spans do.
func TestO03_ALiarHasSpansOfNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		above := records.New("", 1, 1000, nil)
		host, child, received := speakers(t, above)
		many := slices.Repeat([]told{{"name": strings.Repeat("x", 5), "time": time.Now().Add(time.Hour)}}, 100)
		batch := func(n tracing.Numbers, words ...told) told {
			var of tracing.Batch
			for i := range words {
				of.Add(tracing.Ended{Numbers: &n, Words: tracing.Words{Method: fmt.Sprint(i)}})
			}
			return told{"words": words, "spans": of.Spans}
		}
		liesAt(t, child, wire.Records, []told{
			{"spans": batch(tracing.Numbers{}, told{"rest": told{"name": "up"}, "actor": "../other"}, told{"rest": told{"name": "abs"}, "actor": "/x"}, told{"rest": told{"name": "own"}}), "missed_spans": -5},
			{"spans": batch(tracing.Numbers{Time: time.Now().Add(time.Hour).UnixNano(), Duration: -1, Kind: 200, Status: 200},
				told{"verb": strings.Repeat("v", 500), "service": "s", "method": "m", "rest": told{"name": strings.Repeat("n", 2000), "events": many}})},
		})
		synctest.Wait()
		all, missed := done(t, above, telemetry.Filter{})
		if len(all) != 2 || all[0] != "mid: own" || missed != 2 {
			t.Errorf("O03: the host has %.100q, and has missed %d", all, missed)
		}
		for s, err := range above.WatchSpans(t.Context(), telemetry.Filter{}) {
			if err != nil {
				continue // what is missing
			}
			if len(s.Name) > 1000 || s.Trace != "" || len(s.Events) > 100 || s.Time.After(time.Now()) || s.Duration < 0 || s.Kind != telemetry.Internal || s.Name == "own" != (s.Status == telemetry.OK) ||
				len(s.Events) > 0 && s.Events[0].Time.After(time.Now()) {
				t.Errorf("O03: the host has %+v", s)
			}
		}
		part(host, child, errors.New("it is over"))
		<-received
	})
}
