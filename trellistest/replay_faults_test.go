package trellistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// waiter serves parse, whose handler waits for what wait does.
func waiter(wait func(ctx context.Context) error) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		parse.Handle(func(ctx context.Context, _ string) (parts, error) { return parts{}, wait(ctx) }),
	}}
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// staying serves shout: it says something, and then stays until what it waits for has come.
func staying(wait func(ctx context.Context) error) trellistest.Plugin {
	return trellistest.Plugin{Endpoints: []contract.Handler{
		shout.Handle(func(ctx context.Context, _ string, c *contract.Callee[string, string, string]) (int, error) {
			if err := c.Started(""); err != nil {
				return 0, err
			}
			stream, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return 0, err
			}
			if err := stream.Send(ctx, "here"); err != nil {
				return 0, err
			}
			return 0, wait(ctx)
		}),
	}}
}

// That the recorded actor has died excuses one that dies, but not one that does not end.
func TestReplayOfADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := recordedHere(t, staying(untilDone), func(portal contract.Portal) {
			err := receive(t.Context(), portal, 1, func(ctx context.Context, _ *contract.Opener[string, string, string, int]) error {
				portal.(*trellistest.Actor).Cut()
				return untilDone(ctx)
			})
			if !errors.Is(err, fault.ErrActorLost) {
				t.Errorf("the caller sees %v", err)
			}
		})
		wantReplayed(t, file, staying(untilDone), nil)
		release := make(chan struct{})
		defer close(release)
		got := replayed(t, file, staying(func(context.Context) error {
			<-release
			return nil
		}))
		if len(got) != 1 || !strings.Contains(got[0], "the actor has not ended its tasks 10s after it was asked to") ||
			!strings.Contains(got[0], "handlers that do not look at their ctx") {
			t.Errorf("a handler that ignores its ctx: %q", got)
		}
	})
}

// ticker serves parse with f, and count without an end, each second.
func ticker(wait func(ctx context.Context) error) trellistest.Plugin {
	p := waiter(wait)
	p.Endpoints = append(p.Endpoints, counts.Handle(func(ctx context.Context, _ int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 0; ctx.Err() == nil && yield(i, nil); i++ {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		}
	}))
	return p
}

// What does not come is given up in time, also if the actor says other things all the time.
func TestReplayGivesUpWhileTheActorTalks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		right := ticker(func(context.Context) error { return nil })
		file := recordedHere(t, right, func(portal contract.Portal) {
			for _, err := range counts.Stream(t.Context(), portal, 0) {
				if _, called := parse.Call(t.Context(), portal, "/src"); err != nil || called != nil {
					t.Error(err, called)
				}
				break
			}
		})
		wantReplayed(t, file, right, nil)
		begun := time.Now()
		got := replayed(t, file, ticker(untilDone))
		if took := time.Since(begun); len(got) != 1 || !strings.Contains(got[0], `parse: ending: answer {"Items": null, "Took": 0} → nothing`) || took > 11*time.Second {
			t.Errorf("%q after %v", got, took)
		}
	})
}

// taker serves parse, and shout, whose commands it takes if it reads.
func taker(reads bool) trellistest.Plugin {
	p := waiter(func(context.Context) error { return nil })
	p.Endpoints = append(p.Endpoints, shout.Handle(func(ctx context.Context, _ string, c *contract.Callee[string, string, string]) (n int, err error) {
		if err := c.Started(""); err != nil {
			return 0, err
		}
		stream, err := c.Stream(contract.StreamOptions{})
		if err != nil {
			return 0, err
		}
		if !reads {
			return 0, untilDone(ctx)
		}
		for range stream.All(ctx) {
			n++
		}
		return n, nil
	}))
	return p
}

// An actor that takes no commands is sent none past its credit, and what else it does is compared.
func TestReplayToOneThatTakesNoCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := recordedHere(t, taker(true), func(portal contract.Portal) {
			n, err := shout.Open(t.Context(), portal, "", func(ctx context.Context, c *contract.Opener[string, string, string, int]) error {
				stream, err := c.Stream(contract.StreamOptions{})
				for i := 0; i < 200 && err == nil; i++ { // more than a window, and the violations that a link bears
					err = stream.Send(ctx, fmt.Sprint(i))
				}
				if _, called := parse.Call(ctx, portal, ""); called != nil || err != nil {
					return errors.Join(err, called)
				}
				stream.CloseSend()
				return nil
			})
			if n != 200 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
		wantReplayed(t, file, taker(true), nil)
		want := []string{`shout: ending: answer 200 → nothing`, `shout: command[64]: it was taken → there is no credit for it`}
		if got := replayed(t, file, taker(false)); !slices.EqualFunc(got, want, strings.HasSuffix) {
			t.Errorf("got %q", got)
		}
	})
}

// Each process of a recording is a new actor, with endpoints of its own.
func TestReplayMakesFreshEndpoints(t *testing.T) {
	once := trellistest.Plugin{Fresh: func() []contract.Handler {
		asked := false
		return []contract.Handler{parse.Handle(func(context.Context, string) (parts, error) {
			if asked {
				return parts{}, errors.New("asked twice")
			}
			asked = true
			return parts{}, nil
		})}
	}}
	file := recorded(t, once, func(t *testing.T, portal contract.Portal) {
		if _, err := parse.Call(t.Context(), portal, ""); err != nil {
			t.Error(err)
		}
	})
	wantReplayed(t, file, once, nil)
	wantReplayed(t, file, once, nil)
	type more struct {
		parts
		Lines int
	}
	wantReplayed(t, file, trellistest.Plugin{Fresh: func() []contract.Handler {
		return []contract.Handler{contract.Func[string, more]("parse").Handle(func(context.Context, string) (more, error) { return more{}, nil })}
	}}, []string{"parse: types: those of the recording's host → others: hosts have to be built with them, too", "parse: answer.Lines: nothing → 0"})

	once.Starting = trellistest.Slow(trellistest.StageBoot, time.Second)
	if got := replayed(t, file, once); len(got) != 1 || !strings.Contains(got[0], "Plugin.Starting is for the processes of a tree") {
		t.Errorf("replayed with Starting: %q", got)
	}
	wantOne(t, record(func(t testing.TB) { once.Serve(t) }), "Plugin.Starting is for the processes of a tree")
	once.Starting, once.Record = nil, io.Discard
	if got := replayed(t, file, once); len(got) != 1 || !strings.Contains(got[0], "a replay is not recorded") {
		t.Errorf("replayed with Record: %q", got)
	}
}
