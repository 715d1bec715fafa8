package host_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// hosting is an actor that hosts others.
func hosting(name string, hosted ...host.Spec) host.Spec {
	s := plug(name, "hosting")
	s.Actors = hosted
	return s
}

// threeLevels is a tree with actors on three levels, in which two share a name.
func threeLevels() []host.Spec {
	parsers := plug("parser", "good")
	parsers.Replicas = 2
	middle := hosting("middle", hosting("lower", plug("leaf", "good")), parsers)
	middle.Restart = config.Permanent
	return []host.Spec{middle, plug("walker", "good")}
}

var allOfThreeLevels = []string{"middle", "middle/lower", "middle/lower/leaf", "middle/parser", "middle/parser#2", "walker"}

// branches runs a tree in memory, and gives the events that its root has told when it has ended.
func branches(t *testing.T, actors []host.Spec, body func(ctx context.Context, p *trellistest.Programs) error) (told []directory.Event, err error) {
	t.Helper()
	quiet := host.Options{Log: slog.New(slog.DiscardHandler)}
	programs := trellistest.NewPrograms(t,
		trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()},
		trellistest.Plugin{Name: "hosting", Endpoints: goodEndpoints(), Hosts: host.SubtreeWith(quiet)})
	err = host.OpenTree(programs.Context(), quiet, actors, func(ctx context.Context, _ *host.Tree) error {
		return body(ctx, programs)
	})
	return programs.Events(), err
}

// lives are those of all actors of a tree, as their events tell them.
func lives(events []directory.Event) map[string][]string {
	all := map[string][]string{}
	for _, e := range events {
		all[e.Path] = append(all[e.Path], string(e.To))
	}
	return all
}

// wellTold checks that From of each event is To of the one before, and that each host's numbers
// have no gap: nothing was lost on the way.
func wellTold(t *testing.T, events []directory.Event) {
	t.Helper()
	state, seq := map[string]directory.State{}, map[string]uint64{}
	for _, e := range events {
		if e.From != state[e.Path] {
			t.Errorf("O01: %s goes from %q, and was %q: %v", e.Path, e.From, state[e.Path], e)
		}
		if state[e.Path] = e.To; e.To == directory.Gone {
			delete(state, e.Path) // another one may come to its place
		}
		at := e.Path[:max(0, strings.LastIndexByte(e.Path, '/'))]
		switch {
		case e.To == directory.Starting: // what it hosts is numbered anew
			delete(seq, e.Path)
		case e.Cause == directory.Lost:
			continue
		}
		if seq[at]++; e.Seq != seq[at] {
			t.Errorf("O01: the event number %d of %q comes where %d is expected: %s %v", e.Seq, at, seq[at], e.Path, e)
		}
	}
	if len(state) > 0 {
		t.Errorf("O01: in the end there are still %v", state)
	}
}

// The root is told the whole life of every actor, however deep, and has all in its directory.
func TestO01_TheRootHasTheEventsOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, err := branches(t, threeLevels(), func(ctx context.Context, p *trellistest.Programs) error {
			synctest.Wait()
			entries, err := directory.Query(ctx, "")
			var paths []string
			for _, e := range entries {
				paths = append(paths, e.Path)
				process := p.Process(e.Actor.Name).ID()
				if e.State != directory.Ready || e.Epoch != 1 || !process.Is(e.Actor) && e.Actor.Name != "parser" {
					t.Errorf("D01: %+v; want the process %v, ready", e, process)
				}
				if !slices.Contains(e.Endpoints, directory.Endpoint{Name: echo.Name(), Kind: "func"}) {
					t.Errorf("D01: %s serves %v", e.Path, e.Endpoints)
				}
			}
			if !slices.Equal(paths, allOfThreeLevels) {
				t.Errorf("D01: %v are there; want %v", paths, allOfThreeLevels)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		wellTold(t, told)
		for _, path := range allOfThreeLevels {
			want := []string{"waiting", "starting", "ready", "stopping", "reaped", "gone"}
			if got := lives(told)[path]; !slices.Equal(got, want) {
				t.Errorf("O01: the life of %s was %v; want %v", path, got, want)
			}
		}
	})
}

// Each actor below a host that is killed is told gone, and why, before that host is; and those
// that its next process hosts are there under the same paths. In memory the killed host may still
// tell of a death below it by itself; a real one cannot (TestO01_TheMiddleIsKilled).
func TestO01_ASubtreeWhoseHostDiesIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, err := branches(t, threeLevels(), func(ctx context.Context, p *trellistest.Programs) error {
			before := p.Process("middle").ID()
			synctest.Wait() // the root has heard of all
			p.Process("middle").Kill(syscall.SIGKILL)
			for again := false; !again; {
				found, err := directory.WaitFor(ctx, "leaf")
				if err != nil {
					return err
				}
				again = found.Entry.Epoch == 1 && !p.Process("middle").ID().Is(before)
				synctest.Wait()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		wellTold(t, told)
		closed := map[string]bool{}
		for _, e := range told {
			if e.Path == "middle" && e.To == directory.Reaped {
				break
			}
			if e.To != directory.Gone {
				continue
			}
			died, ok := errors.AsType[*fault.ActorDied](e.Err)
			if e.Cause == directory.Lost && (!ok || died.Signal == "" || !strings.Contains(e.Reason, "its host is lost")) {
				t.Errorf("O01: %s is told gone with %q, %v; want that its host was killed", e.Path, e.Reason, e.Err)
			}
			closed[e.Path] = true
		}
		if len(closed) != 4 {
			t.Errorf("O01: %v were closed when their host died; want the four below it", closed)
		}
	})
}

// What the middle host is told of its own actors, it passes on as it was: causes and errors.
func TestO01_DeathsBelowAreToldWithTheirErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaf := plug("leaf", "good")
		leaf.Restart = config.Permanent
		told, err := branches(t, []host.Spec{hosting("middle", leaf)}, func(ctx context.Context, p *trellistest.Programs) error {
			p.Process("leaf").Stderr("famous last words")
			p.Process("leaf").Die(7)
			for e, err := range directory.Watch(ctx, "middle/leaf") {
				if err != nil || e.Epoch == 2 {
					return err
				}
			}
			return errors.New("it has not come back")
		})
		if err != nil {
			t.Error(err)
		}
		wellTold(t, told)
		i := slices.IndexFunc(told, func(e directory.Event) bool { return e.Path == "middle/leaf" && e.To == directory.Reaped })
		died, ok := errors.AsType[*fault.ActorDied](told[i].Err)
		if !ok || died.ExitCode != 7 || told[i].Cause != directory.Crashed || !slices.Equal(died.LastLog, []string{"famous last words"}) {
			t.Errorf("O01: the death is told as %v, %+v", told[i], died)
		}
		if remote, ok := errors.AsType[*fault.RemoteError](told[i].Err); !ok || remote.Origin.Name != "middle" {
			t.Errorf("O01: the error arose in %v; want its host", remote)
		}
	})
}

// A portal is bound to the process that was found, however deep that is.
func TestD03_PortalsThatWereFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := branches(t, threeLevels(), func(ctx context.Context, p *trellistest.Programs) error {
			leaf, err := directory.WaitFor(ctx, "leaf")
			if err != nil {
				return err
			}
			if text, err := echo.Call(ctx, leaf, "hello"); text != "hello" || err != nil {
				t.Errorf("D02: %q, %v", text, err)
			}
			middle, err := directory.Find(ctx, "middle")
			if err != nil {
				return err
			}
			if text, err := echo.Call(ctx, middle, "hello"); text != "hello" || err != nil {
				t.Errorf("D02: %q, %v", text, err)
			}
			p.Process("middle").Die(3)
			_, err = echo.Call(ctx, middle, "hello")
			if died, ok := errors.AsType[*fault.ActorDied](err); !ok || died.ExitCode != 3 {
				t.Errorf("D03: the process has died, and a call of it gives %v", err)
			}
			for e, err := range directory.Watch(ctx, "middle") {
				if err != nil || e.Epoch == 2 {
					break
				}
			}
			if _, err = echo.Call(ctx, middle, "hello"); !errors.Is(err, directory.ErrStale) {
				t.Errorf("D03: there is another process, and a call of the old one gives %v", err)
			}
			again, err := directory.Find(ctx, "middle")
			if err != nil {
				return err
			}
			text, err := echo.Call(ctx, again, "hello")
			if text != "hello" || again.Entry.Epoch != 2 {
				t.Errorf("D03: %q of the epoch %d", text, again.Entry.Epoch)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A host that does not read what it is told holds nobody up.
func TestO01_AHostThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaf := plug("leaf", "good")
		leaf.Restart, leaf.Backoff.Initial, leaf.Backoff.Max = config.Permanent, 1, 1
		middle := hosting("middle", leaf)
		middle.Supervision.MaxRestarts, middle.Health.Off = 1_000_000, true
		told, err := branches(t, []host.Spec{middle}, func(ctx context.Context, p *trellistest.Programs) error {
			if _, err := directory.WaitFor(ctx, "leaf"); err != nil {
				return err
			}
			p.Process("middle").Stall(trellistest.FromActor)
			const deaths = 1200
			for n := range deaths {
				process := p.Process("leaf")
				process.Die(1)
				synctest.Wait()
				for p.Process("leaf") == process {
					waitABit(ctx)
				}
				if n == deaths-1 {
					p.Process("middle").Resume(trellistest.FromActor)
				}
			}
			for {
				synctest.Wait()
				found, err := directory.WaitFor(ctx, "leaf")
				if err != nil {
					return err
				}
				if found.Entry.Actor.Is(p.Process("leaf").ID()) {
					return nil
				}
				waitABit(ctx)
			}
		})
		if err != nil {
			t.Error(err)
		}
		missed := 0
		for _, e := range told {
			if e.Missed > 0 {
				missed += e.Missed
				if e.Path != "middle" {
					t.Errorf("O01: a gap is told of %s", e.Path)
				}
			}
		}
		if missed == 0 {
			t.Errorf("O01: %d events came, and no gap was told", len(told))
		}
	})
}

// waitABit lets a bubble's time pass.
func waitABit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 1_000_000)
	defer cancel()
	<-ctx.Done()
}
