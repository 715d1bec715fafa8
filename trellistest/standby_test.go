package trellistest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// standing is an actor with spares, and bench a tree of it.
func standing(spares int) config.Actor {
	return config.Actor{Name: "a", Command: []string{"greeter"}, Restart: config.Permanent, Standby: spares}
}

func bench(spares int) config.Tree {
	return config.Tree{Supervision: config.Supervision{MaxRestarts: 3}, Actors: []config.Actor{standing(spares)}}
}

// The process that a restart begins with is the spare, with its identity, a millisecond after the
// death; another one takes its place.
func TestV01_ARestartTakesASpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(1), greeter())
		h.WantEvents(trellistest.Started("a"), trellistest.Spare("a"))
		spare := h.Spares("a")[0]
		begun := time.Now()
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Ended("a", directory.Crashed), trellistest.Restarting("a"))
		if text, err := greet.Call(t.Context(), h.Portal("a"), "Ada"); text != "Hello, Ada!" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if pause := time.Since(begun); pause > time.Millisecond {
			t.Errorf("the restart took %v, expected a millisecond, which is the pause", pause)
		}
		if now := h.Process("a"); now != spare || !h.Portal("a").ID().Is(spare.ID()) {
			t.Errorf("the actor is %v in %v, expected the spare %v", h.Portal("a").ID(), now.ID(), spare.ID())
		}
		h.WantEvents(trellistest.Started("a"), trellistest.Spare("a"))
		if spares := h.Spares("a"); len(spares) != 1 || spares[0] == spare {
			t.Errorf("the spares are %v", spares)
		}
		if err := h.End(); err != nil {
			t.Error(err)
		}
		h.WantEvents(trellistest.InAnyOrder(trellistest.SpareEnded("a", directory.Requested), trellistest.Ended("a", directory.Requested)))
	})
}

// A pause that the spec gives is kept, whatever stands by.
func TestV01_ASparesRestartHasThePauseOfTheSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := bench(1)
		tree.Actors[0].Backoff = config.Backoff{Initial: config.Duration(3 * time.Second)}
		h := trellistest.Host(t, tree, greeter())
		h.WantEvents(trellistest.Spare("a"))
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Restarting("a"))
		if pauses := pausesOf(h.Events()); len(pauses) != 1 || pauses[0] < 2*time.Second {
			t.Errorf("pauses of %v", pauses)
		}
	})
}

// Nothing of an actor begins in a spare: it is not told who it is before it is the actor.
func TestV01_ASpareIsNotBooted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		passed := map[string][]trellistest.Stage{}
		plugin := greeter()
		plugin.Starting = func(ctx context.Context, stage trellistest.Stage) error {
			mu.Lock()
			defer mu.Unlock()
			id := trellistest.ProcessOf(ctx).ID().UUID
			passed[id] = append(passed[id], stage)
			return nil
		}
		h := trellistest.Host(t, bench(2), plugin)
		h.WantEvents(trellistest.Spare("a"), trellistest.Spare("a"))
		mu.Lock()
		defer mu.Unlock()
		for _, spare := range h.Spares("a") {
			if got := passed[spare.ID().UUID]; !slices.Equal(got, []trellistest.Stage{trellistest.StageProgram, trellistest.StageHandshake}) {
				t.Errorf("a spare has passed %v", got)
			}
		}
	})
}

// N17: a spare that a signal ends exits in order, as a real one does, and not by the signal.
func TestN17_ASpareThatIsTerminatedExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(1), greeter())
		h.WantEvents(trellistest.Spare("a"))
		h.Spares("a")[0].Terminate()
		h.WantEvents(trellistest.SpareEnded("a", directory.Crashed))
		events := h.Events()
		died, ok := errors.AsType[*fault.ActorDied](events[len(events)-1].Err)
		if !ok || died.ExitCode != 0 || died.Signal != "" {
			t.Errorf("%+v; want exit code 0", died)
		}
	})
}

// A spare that hangs is killed when it is needed, and the start goes on with a new process.
func TestV01_AFrozenSpareIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(1), greeter())
		h.WantEvents(trellistest.Spare("a"))
		spare := h.Spares("a")[0]
		spare.Freeze()
		begun := time.Now()
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Restarting("a"))
		if text, err := greet.Call(t.Context(), h.Portal("a"), "Ada"); text != "Hello, Ada!" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if took := time.Since(begun); took > time.Second+time.Millisecond {
			t.Errorf("it took %v, expected health.timeout and the pause", took)
		}
		if now := h.Process("a"); now == spare || !h.Portal("a").ID().Is(now.ID()) {
			t.Errorf("the actor is %v, its process %v", h.Portal("a").ID(), now.ID())
		}
		select {
		case <-spare.Dead():
		default:
			t.Error("the spare lives")
		}
		h.WantEvents(trellistest.Started("a"), trellistest.Spare("a"))
	})
}

// The check of a spare is a part of the start, and leaves time for another process.
func TestV01_ASparesCheckIsWithinStartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := bench(1)
		tree.Actors[0].StartTimeout = config.Duration(time.Second)
		tree.Actors[0].Health = config.Health{Timeout: config.Duration(time.Minute)}
		h := trellistest.Host(t, tree, greeter())
		h.WantEvents(trellistest.Spare("a"))
		h.Spares("a")[0].Freeze()
		begun := time.Now()
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Restarting("a"), trellistest.Started("a"))
		if took := time.Since(begun); took > time.Second/2+time.Millisecond {
			t.Errorf("it took %v, expected half of start_timeout and the pause", took)
		}
	})
}

// Whoever follows the events of a start that is given up is told of processes that there were.
func TestO01_AStartThatIsGivenUpTellsNoOtherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(1), greeter())
		h.WantEvents(trellistest.Spare("a"))
		spare := h.Spares("a")[0]
		spare.Freeze()
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Restarting("a"))
		time.Sleep(time.Millisecond * 500) // it is being asked
		if err := h.End(); err != nil {
			t.Error(err)
		}
		events := h.Events()
		if last := events[len(events)-1]; last.To != directory.Gone || !last.Actor.Is(spare.ID()) {
			t.Errorf("the last event is %+v; want the end of %v", last, spare.ID())
		}
	})
}

// What has spoiled one spare has spoiled those beside it: they end, and others take their place.
func TestV01_SparesBesideOneThatIsNotFitEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(3), greeter())
		h.WantEvents(trellistest.Spare("a"), trellistest.Spare("a"), trellistest.Spare("a"))
		before := h.Spares("a")
		before[0].Freeze()
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Restarting("a"), trellistest.InAnyOrder( // a new spare may be ready before an old one is gone
			trellistest.SpareEnded("a", directory.Requested), trellistest.SpareEnded("a", directory.Requested), trellistest.Started("a"),
			trellistest.Spare("a"), trellistest.Spare("a"), trellistest.Spare("a")))
		for _, spare := range h.Spares("a") {
			if slices.Contains(before, spare) {
				t.Errorf("%v is still a spare", spare.ID())
			}
		}
	})
}

// The death of a spare is not the actor's, counts for no restart, and is made good after a pause,
// which grows.
func TestV01_ASparesDeathConcernsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := trellistest.Host(t, bench(1), greeter())
		h.WantEvents(trellistest.Spare("a"))
		actor := h.Portal("a").ID()
		for range 3 {
			h.Spares("a")[0].Die(1)
			h.WantEvents(trellistest.SpareEnded("a", directory.Crashed), trellistest.Spare("a"),
				trellistest.No(trellistest.Ended("a", "")), trellistest.No(trellistest.Restarting("a")))
		}
		if now := h.Portal("a"); !now.ID().Is(actor) || now.State() != directory.Ready {
			t.Errorf("the actor was %v and is %v, %s", actor, now.ID(), now.State())
		}
		h.Process("a").Die(1) // which the supervisor would not forgive a fourth time
		h.WantEvents(trellistest.Ended("a", directory.Crashed), trellistest.Started("a"))
	})
}

// What cannot be started is given up after max_restarts failures, and tried again when an actor
// has come up.
func TestV01_SparesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ill := false
		plugin := greeter()
		plugin.Starting = func(_ context.Context, stage trellistest.Stage) error {
			mu.Lock()
			defer mu.Unlock()
			if ill && stage == trellistest.StageHandshake {
				return errors.New("no licence")
			}
			return nil
		}
		set := func(to bool) {
			mu.Lock()
			defer mu.Unlock()
			ill = to
		}
		h := trellistest.Host(t, bench(1), plugin)
		h.WantEvents(trellistest.Spare("a"))
		set(true)
		h.Spares("a")[0].Die(1)
		h.WantEvents(trellistest.SpareEnded("a", directory.Crashed), trellistest.SpareEnded("a", directory.NotUp),
			trellistest.SpareEnded("a", directory.NotUp), trellistest.SpareEnded("a", directory.NotUp))
		time.Sleep(time.Hour)
		h.WantEvents(trellistest.No(trellistest.SpareEnded("a", "")), trellistest.No(trellistest.Spare("a")))
		set(false)
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Ended("a", directory.Crashed), trellistest.Started("a"), trellistest.Spare("a"))
	})
}

// Where a strategy ends all, no spare becomes an actor before the last of the old ones is reaped.
func TestV01_SparesWaitForTheOldGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := bench(1)
		tree.Supervision.Strategy = config.OneForAll
		other := standing(1)
		other.Name = "b"
		tree.Actors = append(tree.Actors, other)
		h := trellistest.Host(t, tree, greeter())
		h.WantEvents(trellistest.InAnyOrder(trellistest.Spare("a"), trellistest.Spare("b")))
		h.Process("a").Die(1)
		h.WantEvents(trellistest.Ended("a", directory.Crashed), trellistest.Ended("b", directory.Requested),
			trellistest.InAnyOrder(trellistest.Started("a"), trellistest.Started("b")))
	})
}

// Actors of one spec have their spares in common, which outlive the last of them for a minute, or two.
func TestV01_AStartTakesASpareOfAnotherActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, greeter())
		spec := standing(1)
		spec.Restart = ""
		err := host.OpenNursery(programs.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			first, err := n.Start(ctx, spec)
			if err != nil {
				return err
			}
			programs.WantEvents(trellistest.Started("a"), trellistest.Spare("a"))
			if err := first.Cancel(ctx, "done"); err != nil {
				return err
			}
			<-first.Done()
			spare := programs.Spares("a")[0].ID()
			second, err := n.Start(ctx, spec)
			if err != nil || !second.ID().Is(spare) {
				t.Errorf("%v, expected the spare %v; %v", second.ID(), spare, err)
			}
			programs.WantEvents(trellistest.Gone("a"), trellistest.Started("a"), trellistest.Spare("a"))
			otherwise := spec
			otherwise.Env = map[string]string{"X": "1"}
			spare = programs.Spares("a")[0].ID()
			third, err := n.Start(ctx, otherwise)
			if err != nil || third.ID().Is(spare) {
				t.Errorf("an actor of another spec is %v, and was a spare: %v", third.ID(), err)
			}
			programs.WantEvents(trellistest.Spare("a"))
			if err := errors.Join(second.Cancel(ctx, "done"), third.Cancel(ctx, "done")); err != nil {
				return err
			}
			time.Sleep(time.Minute - time.Millisecond)
			programs.WantEvents(trellistest.No(trellistest.SpareEnded("a", "")))
			time.Sleep(time.Minute + time.Millisecond) // for those that another actor has come for meanwhile
			programs.WantEvents(trellistest.SpareEnded("a", directory.Requested), trellistest.SpareEnded("a", directory.Requested))
			if left := programs.Spares("a"); len(left) > 0 {
				t.Errorf("%d spares are left", len(left))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The end of a nursery ends what is only coming up, at each stage.
func TestN06_TheEndOfANurseryEndsComingSpares(t *testing.T) {
	for _, stage := range []trellistest.Stage{trellistest.StageProgram, trellistest.StageHandshake} {
		t.Run(string(stage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := false
				plugin := greeter()
				plugin.Starting = func(ctx context.Context, at trellistest.Stage) error {
					if up = up || at == trellistest.StageLink; up && at == stage {
						<-ctx.Done()
					}
					return nil
				}
				h := trellistest.Host(t, bench(1), plugin)
				synctest.Wait()
				if err := h.End(); err != nil {
					t.Error(err)
				}
				h.WantEvents(trellistest.InAnyOrder(trellistest.SpareEnded("a", directory.Requested), trellistest.Ended("a", directory.Requested)))
			})
		})
	}
}
