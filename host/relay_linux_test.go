package host_test

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// realFamily is the family as processes.
func realFamily(t testing.TB) []host.Spec {
	relaying := func(name string, hosted ...host.Spec) host.Spec {
		s := spec(t, name, "relays")
		s.Actors, s.Callers = hosted, []string{"tree"}
		return s
	}
	return []host.Spec{relaying("left", relaying("lower", relaying("leaf"))), relaying("right", relaying("twig"))}
}

// TestD05_BetweenProcesses has real processes: child of child called from the root, sibling to sibling,
// and a grandchild to its uncle and to another one's grandchild.
func TestD05_BetweenProcesses(t *testing.T) {
	parallel(t)
	err := host.OpenTree(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, realFamily(t), func(ctx context.Context, _ *host.Tree) error {
		all, err := findAll(ctx, allOfFamily)
		if err != nil {
			return err
		}
		for _, way := range [][2]string{{"", "left/lower/leaf"}, {"left", "right"}, {"right/twig", "left"}, {"left/lower/leaf", "right/twig"}, {"left/lower", "left/lower"}} {
			everything(t, ctx, way[0], way[1], all)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// hop is a stream between two processes, in the middle of which one is killed.
type hop struct {
	from, to, dies string
}

// kill -9 of the opener, of each relay and of the callee, in the middle of a stream over three hops: the ends that
// are left are told with the name of the one that has died.
func TestD05_KilledInTheMiddleOfAStream(t *testing.T) {
	parallel(t)
	for name, h := range map[string]hop{
		"the callee":          {"right/twig", "left/lower", "left/lower"},
		"a relay down":        {"right/twig", "left/lower/leaf", "left/lower"},
		"a relay up":          {"left/lower/leaf", "right/twig", "left"},
		"the callee's host":   {"", "left/lower/leaf", "left/lower"},
		"the opener's sister": {"left/lower/leaf", "right/twig", "right"},
	} {
		t.Run(name, func(t *testing.T) { h.play(t) })
	}
}

// play has the opener hold a stream, kills a process, and looks at what the opener was told. One that has died
// with its host tells nothing: the call that holds it fails, with the same death.
func (h hop) play(t *testing.T) {
	t.Helper()
	err := host.OpenTree(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, realFamily(t), func(ctx context.Context, _ *host.Tree) error {
		all, err := findAll(ctx, allOfFamily)
		if err != nil {
			return err
		}
		victim := all[h.dies].Entry.Actor
		err = h.stream(ctx, all, func() error { return syscall.Kill(victim.PID, syscall.SIGKILL) })
		died, ok := errors.AsType[*fault.ActorDied](err)
		if !ok || !died.ID.Is(victim) || died.Signal != "killed" {
			t.Errorf("D05: the opener was told %v; want that %v was killed", err, victim)
		}
		return nil
	})
	if died, ok := errors.AsType[*fault.ActorDied](err); err != nil && (!ok || died.Signal != "killed") {
		t.Errorf("the tree has ended with %v", err) // it may have ended before it heard of the death
	}
}

// stream opens the stream, and calls kill in the middle of it.
func (h hop) stream(ctx context.Context, all map[string]*directory.Portal, kill func() error) error {
	ctx = context.WithoutCancel(ctx) // the tree ends, too
	if h.from == "" {
		return exchange(ctx, all[h.to], kill)
	}
	_, err := holding.Open(ctx, all[h.from], journey{all[h.to].Entry.Path, all[h.to].Entry.Actor, ""},
		func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			if _, err := s.Recv(ctx); err != nil { // the stream is in its middle
				return err
			}
			if err := kill(); err != nil {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
	return err
}

// BenchmarkD05_KilledInTheMiddleOfAStream has a stream over three hops, and kills a relay of it: how long it takes until its
// opener is told.
func BenchmarkD05_KilledInTheMiddleOfAStream(b *testing.B) {
	var took time.Duration
	for range b.N {
		err := host.OpenTree(b.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, realFamily(b), func(ctx context.Context, _ *host.Tree) error {
			all, err := findAll(ctx, allOfFamily)
			if err != nil {
				return err
			}
			var killed time.Time
			told := hop{"", "left/lower/leaf", "left/lower"}.stream(ctx, all, func() error {
				killed = time.Now()
				return syscall.Kill(all["left/lower"].Entry.Actor.PID, syscall.SIGKILL)
			})
			if took += time.Since(killed); killed.IsZero() || !errors.Is(told, fault.ErrActorLost) {
				b.Errorf("the opener was told %v", told)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fault.ErrActorLost) {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N)/1000, "ms-until-told")
}

// BenchmarkD05_OneMoreHop calls a child, and what that child hosts; and has messages come from them.
func BenchmarkD05_OneMoreHop(b *testing.B) {
	child := spec(b, "near", "relays")
	child.Actors = []host.Spec{spec(b, "far", "relays")}
	err := host.OpenTree(b.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{child}, func(ctx context.Context, _ *host.Tree) error {
		all, err := findAll(ctx, []string{"near", "near/far"})
		if err != nil {
			return err
		}
		for _, path := range []string{"near", "near/far"} {
			b.Run("call/"+path, func(b *testing.B) {
				for b.Loop() {
					if _, err := echo.Call(ctx, all[path], "it"); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("messages/"+path, func(b *testing.B) {
				for _, err := range numbers.Stream(ctx, all[path], b.N) {
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		return nil
	})
	if err != nil {
		b.Error(err)
	}
}
