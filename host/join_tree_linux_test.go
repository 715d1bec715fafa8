package host_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// joinable runs a host that serves, with an actor that programs which have joined may call, and one that they may not.
func joinable(t *testing.T, body func(ctx context.Context, parser *host.Portal) error) {
	t.Helper()
	tempdir.Use(t)
	_, err := open(t, serving(), func(ctx context.Context, n *host.Nursery) error {
		parser, vault := spec(t, "parser", "good"), spec(t, "vault", "good")
		parser.Callers, parser.Restart = []string{"joined"}, config.Permanent
		err := body(ctx, startAll(ctx, t, n, parser, vault)[0])
		n.Cancel()
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// D04, D05, D06: a program that has joined calls an actor of the tree that takes its calls, as its parent
// does, and no other one.
func TestD04_AGuestCallsActorsOfTheTree(t *testing.T) {
	joinable(t, func(context.Context, *host.Portal) error {
		return join(t.Context(), "guest", func(ctx context.Context) error {
			p, err := directory.Find(ctx, "parser")
			if err != nil {
				return err
			}
			if s, err := echo.Call(ctx, p, "hello"); err != nil || s != "hello" {
				t.Errorf("D05: %q, %v", s, err)
			}
			sum := 0
			for n, err := range numbers.Stream(ctx, p, 100) {
				if err != nil {
					t.Errorf("D05: %v", err)
				}
				sum += n
			}
			if sum != 4950 {
				t.Errorf("D05: the stream's sum is %d", sum)
			}
			for n, err := range numbers.Stream(ctx, p, 1<<60) { // which ends its producer
				if n == 3 || err != nil {
					break
				}
			}
			vault, err := directory.Find(ctx, "vault")
			if err != nil {
				return err
			}
			if _, err := echo.Call(ctx, vault, "hello"); !errors.Is(err, fault.ErrNotAllowed) {
				t.Errorf("D06: %v", err)
			}
			return nil
		})
	})
}

// D04, D05: two programs that have joined call each other, if they say that they may.
func TestD04_GuestsCallEachOther(t *testing.T) {
	joinable(t, func(context.Context, *host.Portal) error {
		open, closed := echo.Handle(func(_ context.Context, s string) (string, error) { return s, nil }), fail.Handle(func(_ context.Context, s string) (string, error) { return s, nil })
		o := host.JoinOptions{Name: "first", Endpoints: []contract.Handler{open.Callers("joined"), closed}}
		return host.Join(t.Context(), "", o, func(context.Context) error {
			return join(t.Context(), "second", func(ctx context.Context) error {
				p, err := directory.Find(ctx, "first")
				if err != nil {
					return err
				}
				if s, err := echo.Call(ctx, p, "hello"); err != nil || s != "hello" {
					t.Errorf("D05: %q, %v", s, err)
				}
				if _, err := fail.Call(ctx, p, "hello"); !errors.Is(err, fault.ErrNotAllowed) {
					t.Errorf("D06: %v", err)
				}
				return nil
			})
		})
	})
}

// D04, D05: an actor of the tree is killed in the middle of a stream to a program that has joined, which is told
// with the actor's name, and stays.
func TestD04_TheProducerOfAGuestIsKilled(t *testing.T) {
	joinable(t, func(ctx context.Context, parser *host.Portal) error {
		err := join(t.Context(), "guest", func(ctx context.Context) error {
			p, err := directory.Find(ctx, "parser")
			if err != nil {
				return err
			}
			err = endless(ctx, p, func() { kill(t, parser, syscall.SIGKILL) })
			if died, ok := errors.AsType[*fault.ActorDied](err); !ok || !died.ID.Is(p.Entry.Actor) {
				t.Errorf("D05: the stream has ended with %v", err)
			}
			return ctx.Err()
		})
		_, back := echo.Call(ctx, parser, "are you there again?")
		return errors.Join(err, back)
	})
}

// D04: a program joins though an actor elsewhere in the tree has its name, and is down.
func TestD04_AGuestWithTheNameOfAnActorThatIsDown(t *testing.T) {
	joinable(t, func(ctx context.Context, _ *host.Portal) error {
		census := directory.From(ctx).Join("census", nil)
		census.Publish(directory.Event{Actor: actor.NewID("census"), Epoch: 1, To: directory.Ready})
		if err := census.Pass(directory.Event{Path: "guest", Actor: actor.NewID("guest"), To: directory.Waiting}); err != nil {
			return err
		}
		err := join(t.Context(), "guest", func(ctx context.Context) error {
			if p, err := directory.Find(ctx, "guest#1"); err != nil || p.Entry.Path != "guest" {
				t.Errorf("D04: by its path it is %+v, %v", p, err)
			}
			if p, err := directory.Find(ctx, "guest"); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("D04: it is found in the place of the actor: %+v, %v", p, err)
			}
			return nil
		})
		census.Publish(directory.Event{Actor: actor.NewID("census"), To: directory.Gone})
		return err
	})
}

// D06: what a program that has joined hosts may call it as any actor may call its host, and not the tree.
func TestD06_WhatAGuestHostsCallsIt(t *testing.T) {
	joinable(t, func(context.Context, *host.Portal) error {
		return join(t.Context(), "guest", func(ctx context.Context) error {
			return host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				leaf := startAll(ctx, t, n, spec(t, "leaf", "relays"))[0]
				if _, err := across.Call(ctx, leaf, journey{Path: "guest", Do: "call"}); err != nil {
					t.Errorf("D06: it calls its host: %v", err)
				}
				if _, err := across.Call(ctx, leaf, journey{Path: "vault", Do: "call"}); !errors.Is(err, fault.ErrNotAllowed) {
					t.Errorf("D06: it calls an actor of the tree: %v", err)
				}
				n.Cancel()
				return nil
			})
		})
	})
}
