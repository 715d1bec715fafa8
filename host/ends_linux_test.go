package host_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestV10_EventsTellAWholeLife(t *testing.T) {
	ctx := host.WithEvents(t.Context())
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, restarting(t, "a", config.Permanent))[0]
		successor(ctx, t, p, kill(t, p, syscall.SIGKILL))
		if err := p.Cancel(ctx, "done"); err != nil {
			return err
		}
		<-p.Done()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	last := directory.State("")
	for e := range host.Events(ctx) {
		if e.From != last || e.Time.IsZero() || e.Actor.Name != "a" && e.To != directory.Waiting {
			t.Errorf("%+v after %s", e, last)
		}
		last = e.To
		got = append(got, strings.TrimSpace(string(e.To)+" "+string(e.Cause)))
		if e.To == directory.Gone {
			break
		}
	}
	want := []string{
		"waiting", "starting", "ready", "stopping crashed", "reaped crashed", "waiting",
		"starting", "ready", "stopping requested", "reaped requested", "gone",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestP11_ReasonOfADisconnect: an end that was asked for is not a failure, one that
// was not is; the event says which it was.
func TestP11_ReasonOfADisconnect(t *testing.T) {
	parallel(t)
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
	_, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		cut := spec(t, "cut", "cutting")
		cut.TermTimeout = config.Duration(10 * time.Millisecond)
		all := startAll(ctx, t, n, spec(t, "asked", "good"), spec(t, "itself", "good"), spec(t, "killed", "good"), cut)
		if err := all[0].Cancel(ctx, "done"); err != nil {
			t.Error(err)
		}
		kill(t, all[1], syscall.SIGTERM)
		kill(t, all[2], syscall.SIGKILL)
		if _, err := cutLink.Call(ctx, all[3], none{}); !errors.Is(err, fault.ErrActorLost) {
			t.Errorf("the call that cuts its own link gave %v", err)
		}
		for i, want := range []directory.Cause{directory.Requested, directory.Finished, directory.Crashed, directory.Transport} {
			<-all[i].Done()
			id := all[i].ID()
			e := await(ctx, t, "the end", func(e directory.Event) bool { return e.To == directory.Reaped && e.Actor.Is(id) })
			if e.Cause != want || (e.Err != nil) != (i >= 2) {
				t.Errorf("%s: %v, %v", all[i].Name(), e, e.Err)
			}
		}
		n.Cancel()
		return nil
	})
	group, ok := errors.AsType[*fault.Group](err)
	if !ok || len(group.Errs) != 2 {
		t.Errorf("want the two failures, got %v", err)
	}
}

// TestN11_StuckGrandchildIsKilledByItsParent: within the outer level's bounds, which
// are shorter than the inner level's own, so that the parent itself ends in order.
func TestN11_StuckGrandchildIsKilledByItsParent(t *testing.T) {
	parallel(t)
	top := spec(t, "top", "hosting")
	top.Grace = config.Duration(10 * time.Minute) // no machine is that slow; how a short one is shared out has tests of its own
	stopped := spec(t, "leaf", "good")
	stopped.CancelTimeout, stopped.Grace, stopped.TermTimeout = config.Duration(50*time.Millisecond), config.Duration(100*time.Millisecond), config.Duration(50*time.Millisecond)
	top.Actors = []host.Spec{stopped}
	var id actor.ID
	var leaf int
	ctx := host.WithEvents(t.Context())
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, top)[0]
		id = p.ID()
		pid, err := below.Call(ctx, p, "stop")
		if err != nil {
			return err
		}
		leaf, err = strconv.Atoi(pid)
		n.Cancel()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for e := range host.Events(ctx) {
		if e.Actor.Is(id) && e.Step != "" {
			t.Errorf("top did not end in order: %v", e)
		}
		if e.To == directory.Gone {
			break
		}
	}
	if err := syscall.Kill(leaf, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the leaf is still there: %v", err)
	}
}

var errEnough = errors.New("that is enough")

// A child that dies while it waits for its turn to be asked was not asked: its failure is
// one of the nursery's.
func TestN03_DeathBeforeItsTurnIsAFailure(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "waits", "good")
		s.Grace = config.Duration(1000 * time.Hour)
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		host.HoldTurns(n)
		n.Go(func() {
			<-ctx.Done()
			for range 10 { // it takes calls until it is asked
				if _, err := whoami.Call(context.WithoutCancel(ctx), p, none{}); err != nil {
					t.Errorf("while it waits: %v", err)
				}
			}
			kill(t, p, syscall.SIGKILL)
		})
		return errEnough
	})
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || died.ID.Name != "waits" || died.Signal != syscall.SIGKILL.String() {
		t.Errorf("the death was not returned: %v", err)
	}
	if !errors.Is(err, errEnough) {
		t.Errorf("nor what the body returned: %v", err)
	}
}
