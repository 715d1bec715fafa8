package report_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// speakers are a host and an actor at "mid", with a link between them, over which the actor tells and the
// host shows what is said.
func speakers(t *testing.T, above telemetry.Source) (host, child *dialog.Table, received chan error) {
	received = make(chan error, 1)
	a, b := pipe.New()
	host = dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("host")}), dialog.Config{
		Base: t.Context(), Runtime: func(start *wire.Start) (dialog.Task, error) {
			if show := report.AnswerRecords(start, above); show != nil {
				return show, nil
			}
			return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
				err := report.ReceiveRecords(ctx, d, "mid", above)
				received <- err
				return nil, err
			}, nil
		},
	})
	return host, dialog.NewTable(link.New(b, link.Config{Self: actor.NewID("mid"), Dialled: true}), dialog.Config{Base: t.Context()}), received
}

// said are the lines of a source, with their actors.
func said(t *testing.T, s telemetry.Source, f telemetry.Filter) (all []string) {
	t.Helper()
	f.Level = math.MinInt
	for r, err := range s.Watch(t.Context(), f) {
		lagged, behind := errors.AsType[*fault.Lagged](err)
		switch {
		case behind:
			all = append(all, fmt.Sprintf("%d are missing", lagged.Missed))
		case err != nil:
			t.Fatal(err)
		default:
			all = append(all, r.Actor+": "+r.String())
		}
	}
	return all
}

// O02: what an actor and those below it say comes to its host in order, with their paths, and its host shows it.
func TestO02_RecordsGoUpAndAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		above, below := records.New("", 1000, 0, nil), records.New("mid", report.MostOnTheWay, 0, nil)
		host, child, received := speakers(t, above)
		sent := make(chan error, 1)
		go func() { sent <- report.SendRecords(t.Context(), child, "mid", below) }()
		for _, path := range []string{"mid", "mid/leaf", "mid/lower/leaf#2"} {
			below.Put(telemetry.Record{Actor: path, Time: time.Now(), Text: "hello", Fields: []telemetry.Field{{Key: "n", Value: int64(-1)}}})
		}
		below.Finish()
		if err := errors.Join(<-sent, <-received); err != nil {
			t.Error(err)
		}
		want := []string{"mid: hello n=-1", "mid/leaf: hello n=-1", "mid/lower/leaf#2: hello n=-1"}
		if got := said(t, above, telemetry.Filter{}); !slices.Equal(got, want) {
			t.Errorf("O02: the host has %q", got)
		}
		shown := report.Records{Store: below, Host: endpoint.To(child)}
		if got := said(t, shown, telemetry.Filter{}); !slices.Equal(got, want) {
			t.Errorf("O02: the host shows %q", got)
		}
		if got := said(t, shown, telemetry.Filter{Actor: "lower"}); !slices.Equal(got, want[2:]) {
			t.Errorf("O02: of one actor the host shows %q", got)
		}
		for _, err := range shown.Watch(t.Context(), telemetry.Filter{Grep: "("}) {
			if err == nil || !strings.Contains(err.Error(), "regular expression") {
				t.Errorf("a filter that cannot be gives %v", err)
			}
		}
		part(host, child, errors.New("it is over"))
	})
}

// O02: a flood is taken at a pace. Whoever floods loses the oldest, the host is told how many, and nothing is held up.
func TestO02_AFloodOfRecordsIsTakenAtAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 50_000
		above, below := records.New("", flood, 0, nil), records.New("mid", report.MostOnTheWay, 0, nil)
		host, child, received := speakers(t, above)
		sent := make(chan error, 1)
		go func() { sent <- report.SendRecords(t.Context(), child, "mid", below) }()
		for n := range flood {
			below.Put(telemetry.Record{Actor: "mid/leaf", Time: time.Now(), Text: fmt.Sprint(n)})
			if n%100 == 0 {
				synctest.Wait() // no time passes
			}
		}
		below.Finish()
		if err := errors.Join(<-sent, <-received); err != nil {
			t.Error(err)
		}
		came, missed := 0, int64(0)
		for r, err := range above.Watch(t.Context(), telemetry.Filter{}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case r.Actor == "mid/leaf":
				came++
			case r.Actor == "mid" && r.Fields[0].Key == "missed":
				missed += r.Fields[0].Value.(int64)
			}
		}
		if int64(came)+missed != flood || missed == 0 || came < report.MostOnTheWay/2 {
			t.Errorf("O02: %d of %d records came, and %d were told as lost", came, flood, missed)
		}
		part(host, child, errors.New("it is over"))
	})
}

// O02: whatever an actor says, it says it of itself and of those below it, and costs its host no more than a record does.
func TestO02_ALiarSpeaksForNobodyElse(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 63)+"/", 64), "/")
	for name, c := range map[string]struct {
		record told
		want   string // "": it is counted as lost
	}{
		"itself":               {told{"text": "x"}, "mid: x"},
		"the name of another":  {told{"actor": "other", "text": "x"}, "mid/other: x"},
		"a way up":             {told{"actor": "../other", "text": "x"}, ""},
		"an absolute path":     {told{"actor": "/other", "text": "x"}, ""},
		"a path for terminals": {told{"actor": "a\x1b[2J", "text": "x"}, ""},
		"a path that is long":  {told{"actor": deep, "text": "x"}, ""},
		"a value that is deep": {told{"text": "x", "fields": []told{{"key": "k", "value": []any{[]any{"y"}}}}}, "mid: x k=[[y]]"},
		"no text at all":       {told{"level": 4}, "mid: "},
		"an id that is none":   {told{"text": "x", "trace": strings.Repeat("z", 32)}, "mid: x"},
		"a time to come":       {told{"text": "x", "time": time.Now().Add(time.Hour)}, "mid: x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				above := records.New("", 1000, 0, nil)
				host, child, received := speakers(t, above)
				liesAt(t, child, wire.Records, []told{{"record": c.record}, {"missed": -5}})
				synctest.Wait()
				want := c.want
				if want == "" {
					want = "mid: records of an actor were lost on their way missed=1"
				}
				if got := said(t, above, telemetry.Filter{}); !slices.Equal(got, []string{want}) {
					t.Errorf("O02: the host has %q, want %q", got, want)
				}
				for r := range above.Watch(t.Context(), telemetry.Filter{}) {
					if r.Trace != "" || r.Time.After(time.Now()) {
						t.Errorf("O02: the host has a record of %v in %q", r.Time, r.Trace)
					}
				}
				part(host, child, errors.New("it is over"))
				<-received
			})
		})
	}
	t.Run("rubbish", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			host, child, received := speakers(t, records.New("", 1000, 0, nil))
			liesAt(t, child, wire.Records, []told{{"record": "x"}})
			if err := <-received; !errors.Is(err, fault.ErrProtocol) {
				t.Errorf("O02: rubbish ends the stream with %v", err)
			}
			part(host, child, errors.New("it is over"))
		})
	})
}
