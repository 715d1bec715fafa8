package host_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestV01_OneForOneLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
		_, err := here(t, o, func(ctx context.Context, n *host.Nursery) error {
			all := startAll(ctx, t, n, restartingHere("a", config.Permanent), restartingHere("b", config.Permanent), plug("c", "good"))
			before := []actor.ID{all[0].ID(), all[2].ID()}
			successor(ctx, t, all[1], killHere(ctx, all[1]))
			for i, p := range []*host.Portal{all[0], all[2]} {
				if id, err := whoami.Call(ctx, p, none{}); err != nil || !id.Is(before[i]) {
					t.Errorf("%s: %v, %v", p.Name(), id, err)
				}
			}
			killHere(ctx, all[2]) // temporary: it stays away, the others live on
			<-all[2].Done()
			if _, err := whoami.Call(ctx, all[0], none{}); err != nil {
				t.Error(err)
			}
			n.Cancel()
			return nil
		})
		died, ok := errors.AsType[*fault.ActorDied](err)
		if !ok || died.ID.Name != "c" {
			t.Errorf("the failure that no restart answered is lost: %v", err)
		}
	})
}

func TestV01_OneCancelsAllRestartsWhatMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			all := startAll(ctx, t, n, restartingHere("a", config.Transient), plug("b", "good"))
			b := all[1].ID()
			successor(ctx, t, all[0], killHere(ctx, all[0]))
			if id, err := whoami.Call(ctx, all[1], none{}); err != nil || !id.Is(b) {
				t.Errorf("got %v, %v", id, err)
			}
			killHere(ctx, all[1])
			<-ctx.Done()
			return ctx.Err()
		})
		if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ID.Name != "b" {
			t.Errorf("got %v", err)
		}
	})
}

func TestV01_RestForOneRestartsThoseAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := host.Options{Supervision: config.Supervision{Strategy: config.RestForOne}}
		_, err := here(t, o, func(ctx context.Context, n *host.Nursery) error {
			all := startAll(ctx, t, n, restartingHere("a", config.Permanent), restartingHere("b", config.Permanent), restartingHere("c", config.Permanent))
			a, c := all[0].ID(), all[2].ID()
			successor(ctx, t, all[1], killHere(ctx, all[1]))
			successor(ctx, t, all[2], c)
			if id, err := whoami.Call(ctx, all[0], none{}); err != nil || !id.Is(a) {
				t.Errorf("the one before: %v, %v", id, err)
			}
			n.Cancel()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestV02_TransientComesBackOnlyAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p := startAll(ctx, t, n, restartingHere("a", config.Transient))[0]
			old := killHere(ctx, p)
			next := successor(ctx, t, p, old)
			terminateHere(ctx, p) // it ends itself, and well
			<-p.Done()
			if id := p.ID(); !id.Is(next) {
				t.Errorf("%v came after %v", id, next)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestV02_PermanentComesBackAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p := startAll(ctx, t, n, restartingHere("a", config.Permanent))[0]
			next := successor(ctx, t, p, terminateHere(ctx, p))
			if _, err := crash.Call(ctx, p, 0); err == nil { // exit code 0, and no goodbye
				t.Error("the call into the crash gave no error")
			}
			successor(ctx, t, p, next)
			if err := p.Cancel(ctx, "done"); err != nil { // but not when somebody has ended it
				t.Error(err)
			}
			<-p.Done()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestV03_TooManyRestartsAreTheSupervisorsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne, MaxRestarts: 2, Window: config.Duration(time.Hour)}}
		_, err := here(t, o, func(ctx context.Context, n *host.Nursery) error {
			all := startAll(ctx, t, n, restartingHere("a", config.Permanent), restartingHere("b", config.Permanent))
			id := all[0].ID()
			for range 2 {
				killHere(ctx, all[0])
				id = successor(ctx, t, all[0], id)
			}
			killHere(ctx, all[1]) // the limit is for all together
			<-ctx.Done()
			return context.Cause(ctx)
		})
		limit, ok := errors.AsType[*fault.RestartLimit](err)
		if died, told := errors.AsType[*fault.ActorDied](err); !ok || limit.Actor != "b" || limit.Max != 2 || !told || died.ID.Name != "b" {
			t.Errorf("got %v", err)
		}
	})
}

// TestV03_LimitGoesUpward: the supervisor in a plugin gives up, which is the
// plugin's own failure, which its supervisor answers with a restart.
func TestV03_LimitGoesUpward(t *testing.T) {
	parallel(t)
	top := spec(t, "top", "hosting")
	top.Restart, top.Backoff = config.Permanent, soon
	top.Supervision = config.Supervision{MaxRestarts: 1, Window: config.Duration(time.Hour)}
	top.Actors = []host.Spec{restarting(t, "leaf", config.Permanent)}
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, top)[0]
		old := p.ID()
		for range 2 {
			_, err := below.Call(ctx, p, "crash")
			if err == nil {
				t.Error("the call into the crash gave no error")
			}
		}
		died := await(ctx, t, "top ended", func(e directory.Event) bool { return e.To == directory.Reaped && e.Actor.Is(old) })
		limit, ok := errors.AsType[*fault.RestartLimit](died.Err)
		if !ok || limit.Actor != "leaf" || !limit.Supervisor.Is(old) {
			t.Errorf("top ended with %v", died.Err)
		}
		successor(ctx, t, p, old)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestV05_OneForAllWaitsForTheOldGeneration: each process holds a lock from its main
// function to its very end, and fails if it finds one of another generation.
func TestV05_OneForAllWaitsForTheOldGeneration(t *testing.T) {
	parallel(t)
	dir := t.TempDir()
	locking := func(name string) host.Spec {
		s := restarting(t, name, config.Permanent)
		s.Env[roleVar], s.Env[lockVar], s.Env[nameVar] = "locking", dir, name
		return s
	}
	o := host.Options{Supervision: config.Supervision{Strategy: config.OneForAll, MaxRestarts: 100}}
	log, err := open(t, o, func(ctx context.Context, n *host.Nursery) error {
		all := startAll(ctx, t, n, locking("a"), locking("b"), locking("c"))
		for round := range 4 {
			ids := []actor.ID{all[0].ID(), all[1].ID(), all[2].ID()}
			kill(t, all[round%3], syscall.SIGKILL)
			for i, p := range all {
				successor(ctx, t, p, ids[i])
			}
		}
		n.Cancel()
		return nil
	})
	if err != nil || strings.Contains(log.String(), "two generations") {
		t.Errorf("%v\n%s", err, log)
	}
	if files, err := filepath.Glob(dir + "/*-5"); err != nil || len(files) != 3 {
		t.Errorf("want a fifth generation of three, got %v, %v", files, err)
	}
}

func TestV06_PortalWaitsOrFailsWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}
		_, err := here(t, o, func(ctx context.Context, n *host.Nursery) error {
			slow := config.Backoff{Initial: config.Duration(time.Hour), Max: config.Duration(time.Hour)}
			waits, fails := restartingHere("waits", config.Permanent), restartingHere("fails", config.Permanent)
			waits.Backoff, fails.Backoff, fails.WhileDown = slow, slow, config.FailWhileDown
			all := startAll(ctx, t, n, waits, fails)
			for _, p := range all {
				called := hold(ctx, n, forever, p)
				old := killHere(ctx, p)
				died, ok := errors.AsType[*fault.ActorDied](<-called)
				if !ok || !died.ID.Is(old) {
					t.Errorf("the context of the old process failed with %v", died)
				}
				await(ctx, t, "the pause", func(e directory.Event) bool { return e.To == directory.Waiting && e.Pause > 0 && e.Actor.Is(old) })
			}
			if _, err := echo.Call(ctx, all[1], "x"); !errors.Is(err, fault.ErrActorDown) || !strings.Contains(err.Error(), `"fails" is waiting`) {
				t.Errorf("got %v", err)
			}
			short, cancel := context.WithCancelCause(ctx)
			n.Go(func() { cancel(errBody) })
			if _, err := echo.Call(short, all[0], "x"); !errors.Is(err, errBody) {
				t.Errorf("got %v", err)
			}
			if err := all[0].Cancel(ctx, "done"); err != nil { // while it is down
				t.Error(err)
			}
			if _, err := echo.Call(ctx, all[0], "x"); !errors.Is(err, fault.ErrActorLost) {
				t.Errorf("gone for good: %v", err)
			}
			n.Cancel()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
