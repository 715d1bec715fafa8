package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// F06, O04: whatever a process says of itself, no more of it is kept than is stated, and nothing of it can steer a terminal or be
// taken for what the dump itself says.
func TestO04_WhatAHostileProcessSaysIsBoundedAndMarked(t *testing.T) {
	hostile := &Process{
		Go: strings.Repeat("go", mostText), Goroutines: -1, Stacks: "\n== (root)\n\x1b[2J" + strings.Repeat("x", 2*mostStacks),
		Contexts: slices.Repeat([]dialog.Info{{Endpoint: strings.Repeat("e", 2*mostText), Peer: "\x1b]0;title\a", Queued: -1}}, 2*MostContexts), More: 3,
	}
	told, err := Encode(hostile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodeProcess(told)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Go) > mostText || len(p.Stacks) > mostStacks || !p.Cut || len(p.Contexts) != MostContexts || p.More != MostContexts+3 || len(p.Contexts[0].Endpoint) > mostText {
		t.Errorf("F06: kept are %d bytes of a version, %d of stacks, %d contexts and %d more", len(p.Go), len(p.Stacks), len(p.Contexts), p.More)
	}
	var out bytes.Buffer
	w := &counted{to: &out}
	w.actor(&Actor{Path: "a", Reason: "\r\x1b[1A", Process: p}, time.Now())
	w.flush()
	for line := range strings.Lines(out.String()) {
		if strings.ContainsAny(line, "\x1b\a\r") || strings.HasPrefix(line, "== (root)") {
			t.Fatalf("O04: the dump has the line %q", line)
		}
	}
	if !strings.Contains(out.String(), "\n   | == (root)\n") || !strings.Contains(out.String(), "the goroutines are cut at 1.0 MiB") {
		t.Errorf("O04: the dump begins with %.200q", out.String())
	}
	if _, err := DecodeActor(make([]byte, mostAnswer+1)); err == nil {
		t.Error("F06: an answer of any size is decoded")
	}
}

// tree is a registry of actors with such paths.
func tree(paths ...string) directory.Registry {
	r := directory.NewMemory("", nil)
	members := map[string]directory.Membership{}
	for _, path := range paths {
		host, name, deep := strings.Cut(path, "/")
		e := directory.Event{Actor: actor.NewID(path), Epoch: 1, To: directory.Ready, Time: time.Now()}
		if deep {
			e.Actor.Name, e.Path, e.Seq = name, name, 1
			if err := members[host].Pass(e); err != nil {
				panic(err)
			}
			continue
		}
		members[path] = r.Join(path, nil)
		members[path].Publish(e)
	}
	return r
}

// N19: actors are asked at the same time, and given in their order. One whose host hangs is not asked, and those that do not answer
// keep nobody longer than the bound.
func TestN19_ActorsAreAskedEachWithinABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		for i := range 30 {
			paths = append(paths, fmt.Sprintf("a%02d", i))
		}
		paths = append(paths, "a03/b", "a04/b")
		mute := []string{"a03", "a07", "a11"}
		asked := make(chan string, len(paths)+1)
		ask := func(ctx context.Context, r wire.OrderRequest) ([]byte, error) {
			asked <- r.Path
			if slices.Contains(mute, r.Path) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			if r.Path == "a05" {
				return nil, errors.New("out of paper")
			}
			return Encode(&Actor{Path: r.Path, Process: Self(r.Do, nil)})
		}
		here := Tree{Registry: tree(paths...), Records: records.New("", 10, 10, nil), Ask: ask}
		entries, err := here.Entries(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var got []string
		for a := range here.Each(t.Context(), entries, wire.OrderDescribe) {
			got = append(got, a.Path)
			if want := slices.Contains(mute, a.Path) || a.Path == "a03/b"; a.Hangs != want || (a.Process == nil) != (want || a.Path == "a05") {
				t.Errorf("N19: %s is %+v", a.Path, a)
			}
		}
		if took := time.Since(begun); took > 2*askBound {
			t.Errorf("N19: three of them have held up all for %v", took)
		}
		if want := append([]string{""}, slices.Sorted(slices.Values(paths))...); !slices.Equal(got, want) {
			t.Errorf("they come as %v, want %v", got, want)
		}
		close(asked)
		n := 0
		for path := range asked {
			if n++; path == "a03/b" {
				t.Error("N19: an actor was asked whose host hangs")
			}
		}
		if n != len(entries)-1 {
			t.Errorf("%d were asked of %d", n, len(entries))
		}
	})
}

// A loop that is left leaves nobody behind who asks.
func TestN19_ALoopThatEndsAsksNobodyAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := Tree{Registry: tree("a", "b", "c"), Ask: func(ctx context.Context, _ wire.OrderRequest) ([]byte, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		entries, err := here.Entries(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for a := range here.Each(t.Context(), entries, wire.OrderDump) {
			if !a.Hangs {
				t.Errorf("it is %+v", a)
			}
			break
		}
	})
}

// An actor is told in lines of which each has its place.
func TestLines(t *testing.T) {
	now := time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)
	a := &Actor{
		Path: "census/parser#2", Name: "parser", UUID: "0e1f2a3b-0000-4000-8000-000000000000", PID: 4711, State: directory.Waiting, Since: now.Add(-1500 * time.Millisecond),
		Reason: "it died:\n\x1b[1mexit code 2", Epoch: 2, Foreign: true,
		Program:  &Program{Path: "/bin/parser", SHA256: "83f6", Note: "changed", Arguments: 2, Dir: "/tmp", Env: []string{"LANG", "TOKEN"}},
		Failure:  &Failure{Time: now.Add(-90 * time.Second), Story: []string{"died", "  caused by"}},
		Restarts: &Restarts{Kind: "permanent", Max: 3, Left: 1, Window: 5 * time.Second, Next: now.Add(250 * time.Millisecond)},
		Health:   &Health{Time: now.Add(-time.Second), Failed: "no answer within 1s"},
		System:   "T (stopped)", Silent: "it has not answered within 2s",
		Limits: []Limit{{Memory, 1 << 20, 64 << 20}, {CPU, int64(1500 * time.Millisecond), 0}, {Processes, 0, 32}},
		Contexts: []dialog.Info{
			{Endpoint: "parse", Kind: "func", Role: dialog.RoleOpener, Peer: "parser@0e1f2a3b", Since: now.Add(-time.Minute), Phase: "open", Waits: "its answer", Stuck: true},
			{Endpoint: "count", Kind: "context", Role: dialog.RoleCallee, Peer: "census", Since: now, Sent: 3, Received: 4, Queued: 5, Credit: 6},
			{Role: dialog.RoleRelay, Peer: "census/parser/leaf", Since: now},
		},
		More: 7, Endpoints: []Endpoint{{Name: "parse"}, {Name: "list"}},
		Log: []telemetry.Record{{Time: now.Local(), Text: "slow", Fields: []telemetry.Field{{Key: "file", Value: "a b.go"}}}},
	}
	want := `census/parser#2  parser@0e1f2a3b  pid 4711, process 2, a foreign program
state     waiting for 1.5s: it died:\n\u001b[1mexit code 2
program   /bin/parser
          sha256 83f6
          changed
          2 arguments; env LANG, TOKEN; dir /tmp
failed    1m30s ago
          died
            caused by
restarts  permanent; 1 of 3 left within 5s, for all beside it; the next process in 250ms
health    failed: no answer within 1s, 1s ago
uses      memory 1.0 MiB of 64.0 MiB, cpu 1.5s, processes at most 32
process   it has not answered within 2s; the system says of it: T (stopped)
contexts  parse func at parser@0e1f2a3b, for 1m0s, open, waits for its answer, was told to end and goes on
          count context for census, for 0s, sent 3, received 4, not taken 5, credit 6
          relayed to census/parser/leaf, for 0s
          and 7 more
serves    parse, list
log       ` + now.Local().Format("15:04:05.000") + ` INFO  slow file="a b.go"`
	if got := strings.Join(a.Lines(now), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Of very many goroutines, equal ones are counted; what is too much is cut.
func TestF06_GoroutinesAreBounded(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	for range mostWhole + 1 {
		go func() { <-done }()
	}
	if p := Self(wire.OrderDump, nil); p.Goroutines <= mostWhole || !strings.Contains(p.Stacks, "TestF06_GoroutinesAreBounded") || len(p.Stacks) > 64<<10 {
		t.Errorf("F06: %d goroutines take %d bytes: %.300s", p.Goroutines, len(p.Stacks), p.Stacks)
	}
	if text, _ := stacks(1); len(text) > mostStacks {
		t.Errorf("F06: stacks of %d bytes", len(text))
	}
	h := head(make([]byte, mostStacks-1))
	if n, err := h.Write([]byte("ab")); n != 1 || !errors.Is(err, errFull) {
		t.Errorf("%d, %v", n, err)
	}
}
