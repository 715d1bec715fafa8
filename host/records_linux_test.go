package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

var (
	speak = contract.Func[string, none]("speak")
	peek  = contract.Func[none, none]("peek")
)

func init() {
	role("speaking", func() { speaker(host.Subtree) })
	role("speaking in its own format", func() {
		speaker(func(ctx context.Context, tree []byte, serve func(context.Context) error) error {
			slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
			return host.Subtree(ctx, tree, serve)
		})
	})
}

func speaker(hosts func(ctx context.Context, tree []byte, serve func(context.Context) error) error) {
	sdk.Plugin{Hosts: hosts, Endpoints: []contract.Handler{
		speak.Handle(func(ctx context.Context, word string) (none, error) {
			slog.With("a", "x y").WithGroup("g").WarnContext(ctx, word+" by slog", "n", 7)
			hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true}).Error(word+" by hclog", "actor", "me")
			fmt.Println(word + " printed")
			return none{}, nil
		}),
		peek.Handle(func(ctx context.Context, _ none) (none, error) {
			for _, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{}) {
				return none{}, err
			}
			return none{}, nil
		}),
	}}.Serve()
}

// spoken are the records of a word, as lines with their actors, and how often each is there.
func spoken(t *testing.T, ctx context.Context, word string, most int) map[string]int { //nolint:revive // as tests have it
	t.Helper()
	all := map[string]int{}
	for r, err := range telemetry.From(ctx).Watch(ctx, telemetry.Filter{Grep: "^" + word, Follow: most > 0}) {
		if err != nil {
			t.Fatal(err)
		}
		place := ""
		if r.Trace != "" {
			place = " in " + r.Trace + "/" + r.Span
		}
		all[fmt.Sprintf("%s %s %s%s", r.Actor, r.Level, &r, place)]++
		if len(all) == most {
			break
		}
	}
	return all
}

// O02, O03: what actors log and print reaches the root once, from every level of the tree, with its level, its
// fields and the place in the trace of whoever has called; a program that has joined reads it there, and no plugin
// does.
func TestO02_WhatActorsSayReachesTheRoot(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
	place := " in " + span.TraceID().String() + "/" + span.SpanID().String()
	store := records.New("", 1000, 0, nil)
	want := map[string]int{}
	for _, path := range []string{"middle", "middle/lower", "middle/lower/leaf"} {
		want[path+` WARN hello by slog a="x y" g.n=7`+place] = 1
		want[path+` ERROR hello by hclog actor=me`] = 1
		want[path+` INFO hello printed stream=stdout`] = 1
	}
	joinableSpeakers(t, store, func(ctx context.Context) error {
		calling := trace.ContextWithSpanContext(ctx, span)
		for _, name := range []string{"leaf", "middle", "lower"} {
			p, err := directory.WaitFor(ctx, name)
			if err != nil {
				return err
			}
			if _, err := speak.Call(calling, p, "hello"); err != nil {
				return err
			}
			if _, err := peek.Call(ctx, p, none{}); !errors.Is(err, fault.ErrNotExposed) {
				t.Errorf("O05: %s reads what others say: %v", name, err)
			}
		}
		compare(t, "the root", spoken(t, ctx, "hello", len(want)), want)
		return join(t.Context(), "guest", func(ctx context.Context) error {
			compare(t, "a program that has joined", spoken(t, ctx, "hello", len(want)), want)
			return nil
		})
	})
	// What was only on its way would be here by now.
	compare(t, "in the end, the root", spoken(t, telemetry.With(t.Context(), store), "hello", 0), want)
}

// joinableSpeakers runs three levels of actors that speak, below a host that serves.
func joinableSpeakers(t *testing.T, store *records.Store, body func(ctx context.Context) error) {
	t.Helper()
	tempdir.Use(t)
	leaf, lower, middle := spec(t, "leaf", "speaking"), spec(t, "lower", "speaking"), spec(t, "middle", "speaking")
	lower.Actors = []host.Spec{leaf}
	middle.Actors = []host.Spec{lower}
	err := host.OpenTree(telemetry.With(t.Context(), store), serving(), []host.Spec{middle}, func(ctx context.Context, _ *host.Tree) error {
		return body(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}

func compare(t *testing.T, who string, got, want map[string]int) {
	t.Helper()
	for line, n := range want {
		if got[line] != n {
			t.Errorf("O02: %s has %q %d times, want %d", who, line, got[line], n)
		}
	}
	for line := range got {
		if want[line] == 0 {
			t.Errorf("O02: %s has %q, which nobody has said so", who, strings.ToValidUTF8(line, "?"))
		}
	}
}

// O02: in which format an actor logs does not matter for what is kept of those that it hosts.
func TestO02_NoFormatKeepsTwiceWhatOthersSay(t *testing.T) {
	store := records.New("", 1000, 1000, nil)
	leaf, middle := spec(t, "leaf", "speaking"), spec(t, "middle", "speaking in its own format")
	middle.Actors = []host.Spec{leaf}
	err := host.OpenTree(telemetry.With(t.Context(), store), host.Options{}, []host.Spec{middle}, func(ctx context.Context, _ *host.Tree) error {
		p, err := directory.WaitFor(ctx, "leaf")
		if err != nil {
			return err
		}
		_, err = speak.Call(ctx, p, "hello")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for r, err := range store.Watch(t.Context(), telemetry.Filter{Grep: "hello"}) {
		if err != nil {
			t.Fatal(err)
		}
		said[r.Actor]++
	}
	if said["middle/leaf"] != 3 || said["middle"] != 0 {
		t.Errorf("O02: leaf has said 3 things; of each actor is kept: %v", said)
	}
}

// O02, N19: what actors say is kept whatever becomes of the host's own log, also what they say as they die, and a
// loop gets it before it ends with the tree.
func TestO02_ALogThatHangsKeepsNothingFromTheRecords(t *testing.T) {
	may := make(chan struct{})
	o := host.Options{Log: slog.New(sluggish{slog.NewJSONHandler(io.Discard, nil), may})}
	var got []string
	var reading sync.WaitGroup
	err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
		source := telemetry.From(ctx)
		reading.Go(func() {
			for r, err := range source.Watch(t.Context(), telemetry.Filter{Grep: "one word|two words|famous", Follow: true}) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, r.Text)
			}
		})
		p, err := n.Start(ctx, spec(t, "talker", "good"))
		if err != nil {
			return err
		}
		for _, word := range []string{"one word", "two words"} {
			if _, err := say.Call(ctx, p, word); err != nil {
				return err
			}
		}
		_, err = crash.Call(ctx, p, 7)
		return err
	})
	reading.Wait()
	close(may)
	if _, died := errors.AsType[*fault.ActorDied](err); !died {
		t.Error(err)
	}
	all := strings.Join(got, ", ")
	for _, want := range []string{"one word", "two words", "famous last words"} {
		if !strings.Contains(all, want) {
			t.Errorf("O02: %q is not among %q", want, all)
		}
	}
}
