package trellistest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// family is a tree of actors that all run the program "greeter" and always come back.
func family(s config.Supervision, names ...string) config.Tree {
	tree := config.Tree{Supervision: s}
	for _, name := range names {
		tree.Actors = append(tree.Actors, config.Actor{Name: name, Command: []string{"greeter"}, Restart: config.Permanent})
	}
	return tree
}

// greeter is the program of most trees here.
func greeter() trellistest.Plugin {
	return trellistest.Plugin{Name: "greeter", Endpoints: greetings()}
}

// ends are the ways in which the actor b of a tree may end.
var ends = []struct {
	cause  directory.Cause
	failed bool
	bring  func(h *trellistest.Tree)
}{
	{directory.Crashed, true, func(h *trellistest.Tree) { h.Process("b").Die(3) }},
	{directory.Finished, false, func(h *trellistest.Tree) { h.Process("b").Terminate() }},
	{directory.Requested, false, func(h *trellistest.Tree) { _ = h.Portal("b").Cancel(context.Background(), "it is not needed") }},
}

// The table of docs/supervision.md, "What follows": whether an actor comes back, and what that
// means for those beside it.
func TestV01_V02_WhatFollowsTheEndOfAnActor(t *testing.T) {
	begun := time.Now()
	n := 0
	for _, strategy := range []config.Strategy{config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne} {
		for _, restart := range []config.RestartKind{config.Temporary, config.Transient, config.Permanent} {
			for _, end := range ends {
				n++
				t.Run(fmt.Sprintf("%s/%s/%s", strategy, restart, end.cause), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tree := family(config.Supervision{Strategy: strategy}, "a", "b", "c")
						tree.Actors[1].Restart = restart
						h := trellistest.Host(t, tree, greeter())
						h.WantEvents(trellistest.InAnyOrder(started("a", "b", "c")...))
						end.bring(h)
						comesBack := end.cause != directory.Requested && (restart == config.Permanent || restart == config.Transient && end.failed)
						if comesBack {
							wantTogether(h, end.cause, map[config.Strategy][]string{config.OneForAll: {"a", "c"}, config.RestForOne: {"c"}}[strategy]...)
						} else {
							wantAlone(h, end.cause, end.failed && strategy == config.OneCancelsAll)
						}
						_, died := errors.AsType[*fault.ActorDied](h.End())
						if want := end.failed && !comesBack; died != want {
							t.Errorf("the tree says that an actor has died: %v, want %v", died, want)
						}
					})
				})
			}
		}
	}
	t.Logf("%d cases in %v", n, time.Since(begun).Round(time.Millisecond))
}

func started(names ...string) (all []trellistest.Expected) {
	for _, name := range names {
		all = append(all, trellistest.Started(name))
	}
	return all
}

// wantTogether: b comes back, and so do others with it, which end before anything is started.
func wantTogether(h *trellistest.Tree, cause directory.Cause, others ...string) {
	want := []trellistest.Expected{trellistest.Ended("b", cause)}
	for _, other := range slices.Backward(others) {
		want = append(want, trellistest.Ended(other, directory.Requested))
	}
	if len(others) > 1 {
		want = []trellistest.Expected{want[0], trellistest.InAnyOrder(want[1:]...)}
	}
	h.WantEvents(append(want, trellistest.InAnyOrder(started(append(others, "b")...)...))...)
	nothingMore(h)
}

// wantAlone: b does not come back. That is the end of all, or nothing more happens.
func wantAlone(h *trellistest.Tree, cause directory.Cause, all bool) {
	want := []trellistest.Expected{trellistest.Ended("b", cause), trellistest.No(trellistest.Restarting(""))}
	if all {
		want = append(want, trellistest.InAnyOrder(trellistest.Ended("a", directory.Requested), trellistest.Ended("c", directory.Requested)))
	}
	h.WantEvents(want...)
	nothingMore(h)
}

// nothingMore looks for longer than any pause may take.
func nothingMore(h *trellistest.Tree) {
	time.Sleep(15 * time.Second)
	h.WantEvents(trellistest.No(trellistest.Ended("", "")), trellistest.No(trellistest.Started("")))
}

// The pause doubles up to its maximum, less up to a quarter, and starts anew after a long life.
func TestV04_PausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, family(config.Supervision{MaxRestarts: 100}, "a"), greeter())
		h.WantEvents(trellistest.Started("a"))
		want := func(full time.Duration) {
			t.Helper()
			h.Process("a").Die(1)
			h.WantEvents(trellistest.Restarting("a"), trellistest.Started("a"))
			pauses := pausesOf(h.Events())
			if pause := pauses[len(pauses)-1]; pause > full || pause < full*3/4 {
				t.Errorf("the pause is %v, want up to a quarter less than %v", pause, full)
			}
		}
		for full := 100 * time.Millisecond; full < 10*time.Second; full *= 2 {
			want(full)
		}
		want(10 * time.Second)
		want(10 * time.Second)
		time.Sleep(30 * time.Second)
		want(100 * time.Millisecond)
	})
}

func pausesOf(events []directory.Event) (pauses []time.Duration) {
	for _, e := range events {
		if e.Pause > 0 {
			pauses = append(pauses, e.Pause)
		}
	}
	return pauses
}

// More restarts than max_restarts within the window, of all together, end the tree; and so do
// as many of one that is never up for long, whatever the time between them.
func TestV03_RestartLimit(t *testing.T) {
	for name, c := range map[string]struct {
		between time.Duration
		actors  []string
		window  time.Duration
	}{
		"of all together within the window": {0, []string{"a", "b"}, 5 * time.Second},
		"of one that is never stable":       {10 * time.Second, []string{"a"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := trellistest.Host(t, family(config.Supervision{}, c.actors...), greeter())
				for i := range 4 {
					actor := c.actors[i%len(c.actors)]
					h.Process(actor).Die(1)
					if i < 3 {
						h.WantEvents(trellistest.Ended(actor, directory.Crashed), trellistest.Restarting(actor))
						time.Sleep(c.between + time.Second)
					}
				}
				limit, ok := errors.AsType[*fault.RestartLimit](h.Wait())
				if !ok || limit.Max != 3 || limit.Window != c.window {
					t.Errorf("the tree ended with %+v", limit)
				}
			})
		})
	}
}

// A tree that ends while an actor waits for its restart ends without a failure, and starts
// nothing more.
func TestN02_EndInAPauseStartsNothing(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			tree := family(config.Supervision{}, "a")
			tree.Actors[0].Backoff = config.Backoff{Initial: config.Duration(time.Hour), Max: config.Duration(time.Hour)}
			h := trellistest.Host(t, tree, greeter())
			h.Process("a").Die(1)
			h.WantEvents(trellistest.Restarting("a"))
			if err := h.End(); err != nil {
				t.Error(err)
			}
			if n := len(h.Processes("a")); n != 1 {
				t.Errorf("%d processes were started, want one", n)
			}
			h.WantEvents(trellistest.Gone("a"), trellistest.No(trellistest.Ended("a", "")))
		})
	}
}
