package route_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/histogram"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// known is what an actor hosts, as its directory says.
type known struct {
	hosted
	entries []directory.Entry
}

func (k known) Entries(context.Context, string) ([]directory.Entry, error) { return k.entries, nil }

// O02: nobody can invent actors or endpoints: what the directory has counts, and it says who they are.
func TestO02_NumbersAreOfWhomTheDirectoryHas(t *testing.T) {
	since := time.Now()
	r := &route.Router{Self: me, Root: root, Parent: above, Down: known{hosted{"above/me"}, []directory.Entry{
		{Path: "above/me/child", Actor: child, Epoch: 3, State: directory.Ready, Since: since, Endpoints: []directory.Endpoint{{Name: "real"}}},
		{Path: "above/me/child/leaf", Actor: leaf, State: directory.Waiting},
		{Path: "above/me/other", Actor: other, Epoch: 1, State: directory.Unhealthy, Since: since, Last: directory.Event{Joined: true}},
	}}}
	defer r.Hosts(route.Nursery{Measure: func(_ context.Context, own *telemetry.Metrics, _ time.Duration) []telemetry.Metrics {
		own.Held = 7
		return []telemetry.Metrics{
			{Actor: "child", State: "fine", ID: root, Joined: true, Endpoints: []telemetry.Endpoint{{Name: "invented"}, {Name: "real", Running: 1}}},
			{Actor: "invented"},
			{Actor: "child/leaf", Restarts: 9, Activity: telemetry.Activity{Held: 2}},
		}
	}})()
	all, err := r.Tree(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("%v, %+v", err, all)
	}
	if m := all[0]; m.Actor != "above/me" || !m.ID.Is(me) || m.Held != 7 || m.State != "ready" {
		t.Errorf("O02: itself: %+v", m)
	}
	if m := all[1]; m.Actor != "above/me/child" || !m.ID.Is(child) || m.State != "ready" || m.Joined || m.Restarts != 2 || !m.Since.Equal(since) || len(m.Endpoints) != 1 || m.Endpoints[0].Name != "real" {
		t.Errorf("O02: %+v", m)
	}
	if m := all[2]; m.Actor != "above/me/child/leaf" || m.Restarts != 0 || m.Held != 2 || m.State != "waiting" || !m.Since.IsZero() {
		t.Errorf("O02: %+v", m)
	}
	if m := all[3]; m.Silent != "its host has not told of it" || !m.Joined || !m.Since.Equal(since) {
		t.Errorf("O02: %+v", m)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	stop(why)
	if _, err := r.Tree(ctx); !errors.Is(err, why) {
		t.Errorf("O02: %v", err)
	}
}

// answering is an actor that gives any answer to the question for its numbers.
func answering(t *testing.T, answer func() []any) (host *dialog.Table) {
	t.Helper()
	a, b := pipe.New()
	host = dialog.NewTable(link.New(a, link.Config{Self: me, Peer: child}), dialog.Config{Base: t.Context()})
	actor := dialog.NewTable(link.New(b, link.Config{Self: child, Peer: me, Dialled: true}), dialog.Config{
		Base: t.Context(), Runtime: func(s *wire.Start) (dialog.Task, error) {
			if s.Endpoint != wire.Metrics {
				return nil, &fault.NotExposed{Actor: child, Endpoint: s.Endpoint}
			}
			return func(_ context.Context, d *dialog.Dialog) ([]byte, error) {
				b := wire.NewBuffer(0)
				for _, v := range answer() {
					if err := codecs.CBOR.Marshal(b, v, nil); err != nil {
						return nil, err
					}
				}
				return d.Own(b), nil
			}, nil
		},
	})
	t.Cleanup(func() {
		why := errors.New("the test is over")
		host.Link().Abort(why)
		for _, table := range []*dialog.Table{host, actor} {
			<-table.Link().Done()
			table.Lose(why)
			table.Close()
		}
	})
	return host
}

// O02: what an actor says is cut to what an honest one does.
func TestO02_AnAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostile := telemetry.Metrics{
			Silent: strings.Repeat("x", 10000), Health: "great", Deaths: map[string]uint64{"crashed": 1, "bored": 2},
			Endpoints: slices.Repeat([]telemetry.Endpoint{{Name: "x", Buckets: make([]uint64, 300)}}, 70),
		}
		for name, c := range map[string]struct {
			answer []any
			rows   int
			err    string
		}{
			"nothing":           {nil, 0, "does not begin with the actor itself"},
			"another one":       {[]any{telemetry.Metrics{Actor: "a"}}, 0, "does not begin with the actor itself"},
			"not of the form":   {[]any{"all is well"}, 0, "the answer to trellis/metrics"},
			"too large":         {[]any{telemetry.Metrics{Silent: strings.Repeat("x", 5<<20)}}, 0, "the limit is 4194304"},
			"too large of one":  {[]any{telemetry.Metrics{Silent: strings.Repeat("x", 40000)}}, 0, "of one actor; the limit is 32768"},
			"too many, hostile": {append([]any{hostile}, slices.Repeat([]any{telemetry.Metrics{}}, 5000)...), 4097, ""},
		} {
			var q route.Inquirer
			table := answering(t, func() []any { return c.answer })
			all, err := q.Ask(table, time.Second).Await(t.Context())
			if len(all) != c.rows || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %d actors, %v", name, len(all), err)
			}
			if c.rows > 0 {
				m := all[0]
				if len(m.Silent) > 300 || m.Health != "" || len(m.Deaths) != 1 || len(m.Endpoints) != 64 || len(m.Endpoints[0].Buckets) != histogram.Buckets {
					t.Errorf("%s: %+v", name, m)
				}
			}
			table.Link().Abort(errors.New("done"))
			q.Close()
			if _, err := q.Ask(table, time.Second).Await(t.Context()); !errors.Is(err, fault.ErrActorClosing) {
				t.Errorf("%s: after the end: %v", name, err)
			}
		}
	})
}

// O02: all who ask at the same time share one question, and nobody waits longer than he wants.
func TestO02_OneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan struct{})
		var q route.Inquirer
		table := answering(t, func() []any {
			asked++
			<-answer
			return []any{telemetry.Metrics{Health: "ok", Activity: telemetry.Activity{Queued: 1}}} // it would say another thing later
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		for range 3 {
			if _, err := q.Ask(table, time.Second).Await(ctx); err == nil {
				t.Error("O02: there is an answer")
			}
		}
		last := q.Ask(table, time.Second)
		close(answer)
		if all, err := last.Await(t.Context()); err != nil || len(all) != 1 || all[0].Health != "ok" || asked != 1 {
			t.Errorf("O02: %v, %v, after %d questions", all, err, asked)
		}
		if _, err := q.Ask(table, time.Second).Await(t.Context()); err != nil || asked != 2 {
			t.Errorf("O02: %v, after %d questions", err, asked)
		}
		table.Link().Abort(errors.New("done"))
		q.Close()
	})
}

// O02: an actor with which nobody has spoken since it answered is not asked again, for it would say the same; but one is that
// had messages to take, or that answers for others as well.
func TestO02_AnActorWithoutTrafficIsNotAsked(t *testing.T) {
	for name, c := range map[string]struct {
		answer []any
		again  bool
	}{
		"idle":              {[]any{telemetry.Metrics{Health: "ok"}}, false},
		"messages to take":  {[]any{telemetry.Metrics{Activity: telemetry.Activity{Unread: 1}}}, true},
		"calls that wait":   {[]any{telemetry.Metrics{Activity: telemetry.Activity{Queued: 1}}}, true},
		"a host of another": {[]any{telemetry.Metrics{}, telemetry.Metrics{Actor: "below"}}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			var q route.Inquirer
			table := answering(t, func() []any {
				asked++
				return c.answer
			})
			synctest.Wait()
			look := func() {
				if all, err := q.Ask(table, time.Second).Await(t.Context()); err != nil || len(all) != len(c.answer) {
					t.Errorf("%s: %v, %v", name, all, err)
				}
				synctest.Wait()
			}
			look()
			look()
			if (asked == 2) != c.again {
				t.Errorf("O02: %s: it was asked %d times", name, asked)
			}
			asked = 0
			if _, err := table.CallRuntime(t.Context(), "trellis/other", nil); !errors.Is(err, fault.ErrNotExposed) {
				t.Error(err)
			}
			synctest.Wait()
			look()
			if asked != 1 {
				t.Errorf("O02: %s: after another call it was asked %d times", name, asked)
			}
			table.Link().Abort(errors.New("done"))
			q.Close()
		})
	}
}
