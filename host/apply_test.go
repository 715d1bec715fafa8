package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// applying runs a tree in memory, whose log says nothing, and gives the events of its root.
func applying(t *testing.T, have config.Tree, start func(context.Context, trellistest.Stage) error,
	body func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error,
) (told []directory.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t,
			trellistest.Plugin{Name: "good", Endpoints: goodEndpoints(), Starting: start},
			trellistest.Plugin{Name: "hosting", Endpoints: goodEndpoints(), Hosts: host.Subtree})
		o := host.Options{Supervision: have.Supervision, Log: slog.New(slog.DiscardHandler)}
		err := host.OpenTree(programs.Context(), o, have.Actors, func(ctx context.Context, tree *host.Tree) error { return body(ctx, tree, programs) })
		if err != nil {
			t.Error(err)
		}
		told = programs.Events()
		wellTold(t, told)
	})
	return told
}

// withGrace is an actor with other settings.
func withGrace(s host.Spec, grace time.Duration) host.Spec {
	s.Grace = config.Duration(grace)
	return s
}

// did are changes in short, such as "restart a", with what has failed.
func did(changes []host.Change) (all []string) {
	for _, c := range changes {
		text := c.Do + " " + c.Path
		if c.Err != nil {
			text += ": " + c.Err.Error()
		}
		all = append(all, text)
	}
	return all
}

// apply is Plan, then Apply with the same changes, then Apply without any.
func apply(ctx context.Context, t *testing.T, tree *host.Tree, want config.Tree, changes ...string) {
	t.Helper()
	for _, step := range []struct {
		name  string
		do    func(context.Context, config.Tree) ([]host.Change, error)
		wants []string
	}{{"plan", tree.Plan, changes}, {"apply", tree.Apply, changes}, {"apply again", tree.Apply, nil}} {
		got, err := step.do(ctx, want)
		if err != nil || !slices.Equal(did(got), step.wants) {
			t.Errorf("%s: %q, %v; want %q", step.name, did(got), err, step.wants)
		}
	}
}

// idOf is the process that an actor has, which takes calls.
func idOf(ctx context.Context, t *testing.T, tree *host.Tree, name string) actor.ID {
	t.Helper()
	p, err := tree.Portal(name)
	if err != nil {
		t.Error(err)
		return actor.ID{}
	}
	id, err := whoami.Call(ctx, p, none{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return id
}

// V06: Apply starts, ends, scales and restarts what differs, and nothing else; a portal to what was restarted leads to
// its next process.
func TestV06_ApplyChangesWhatDiffers(t *testing.T) {
	a, b, c, d := plug("a", "good"), plug("b", "good"), plug("c", "good"), plug("d", "good")
	b.DependsOn = map[string]config.Condition{"a": config.Started}
	applying(t, config.Tree{Actors: []host.Spec{a, b, c}}, nil, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		beforeA, beforeB := idOf(ctx, t, tree, "a"), idOf(ctx, t, tree, "b")
		kept, err := tree.Portal("a")
		if err != nil {
			return err
		}
		apply(ctx, t, tree, config.Tree{Actors: []host.Spec{a, b, c}})
		scaled := b
		scaled.Replicas = 2
		scaled.DependsOn = map[string]config.Condition{"a": config.Healthy}
		want := config.Tree{Supervision: config.Supervision{MaxRestarts: 7}, Actors: []host.Spec{withGrace(a, time.Second), b, d}}
		want.Actors[0].Restart = config.Permanent
		apply(ctx, t, tree, want, "supervise ", "restart a", "add d", "remove c")
		if id, err := whoami.Call(ctx, kept, none{}); err != nil || id.Is(beforeA) {
			t.Errorf("V06: the portal leads to %v, %v; before it was %v", id, err, beforeA)
		}
		if id := idOf(ctx, t, tree, "b"); !id.Is(beforeB) {
			t.Errorf("b was restarted: %v after %v", id, beforeB)
		}
		idOf(ctx, t, tree, "d")
		if _, err := tree.Portal("c"); err == nil {
			t.Error("c is still there")
		}
		want.Actors[1] = scaled
		apply(ctx, t, tree, want, "restart b", "scale b")
		if err := kept.Cancel(ctx, "enough"); err != nil {
			return err
		}
		<-kept.Done()
		apply(ctx, t, tree, want, "scale a")
		idOf(ctx, t, tree, "a")
		return nil
	})
}

// V05: Apply restarts with a changed actor what the strategy restarts with it, and nothing before all of those are
// reaped. New actors are not among them.
func TestV05_ApplyRestartsAsTheStrategyHasIt(t *testing.T) {
	for strategy, with := range map[config.Strategy][]string{
		config.OneCancelsAll: nil, config.OneForOne: nil, config.OneForAll: {"restart a", "restart c"}, config.RestForOne: {"restart c"},
	} {
		s := config.Supervision{Strategy: strategy}
		var all []host.Spec
		for _, name := range []string{"a", "b", "c"} {
			spec := plug(name, "good")
			spec.Restart = config.Transient
			all = append(all, spec)
		}
		told := applying(t, config.Tree{Supervision: s, Actors: all}, nil, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
			want := config.Tree{Supervision: s, Actors: append(slices.Clone(all), plug("d", "good"))}
			want.Actors[1] = withGrace(all[1], time.Second)
			apply(ctx, t, tree, want, append([]string{"restart b", "add d"}, with...)...)
			return nil
		})
		reaped, again := 0, 0
		for _, e := range told {
			if e.To == directory.Reaped && again == 0 {
				reaped++
			}
			if e.To == directory.Starting && e.Epoch == 2 {
				again++
				if reaped != 1+len(with) {
					t.Errorf("V05: %s: %s starts again when %d are reaped, want %d", strategy, e.Path, reaped, 1+len(with))
				}
			}
		}
		if again != 1+len(with) {
			t.Errorf("%s: %d were started again, want %d", strategy, again, 1+len(with))
		}
	}
}

// N14: what an actor hosts is changed by that actor, which goes on, and has the change when it is restarted itself.
func TestN14_ApplyReachesWhatActorsHost(t *testing.T) {
	leaf, middle := plug("leaf", "good"), plug("middle", "hosting")
	middle.Restart, middle.Replicas = config.Permanent, 2
	middle.Actors = []host.Spec{leaf}
	applying(t, config.Tree{Actors: []host.Spec{middle}}, nil, func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error {
		before := idOf(ctx, t, tree, "middle")
		changed := middle
		changed.Actors = []host.Spec{withGrace(leaf, time.Second), plug("twig", "good")}
		changed.Supervision.Strategy = config.OneForOne
		apply(ctx, t, tree, config.Tree{Actors: []host.Spec{changed}},
			"supervise middle", "restart middle/leaf", "add middle/twig", "supervise middle#2", "restart middle#2/leaf", "add middle#2/twig")
		if id := idOf(ctx, t, tree, "middle"); !id.Is(before) {
			t.Errorf("the host was restarted: %v after %v", id, before)
		}
		twigs := len(p.Processes("twig"))
		p.Process("middle").Die(3)
		if _, err := directory.WaitFor(ctx, "twig"); err != nil {
			return err
		}
		synctest.Wait()
		time.Sleep(time.Minute) // of the bubble: the pause before the restart
		if n := len(p.Processes("twig")); n != twigs+1 {
			t.Errorf("%d twigs after the restart of a host, %d before", n, twigs)
		}
		apply(ctx, t, tree, config.Tree{Actors: []host.Spec{changed}})
		return nil
	})
}

// V06: what is between two processes, or is just starting, goes on with the new settings, at once.
func TestV06_ApplyWhileOneIsDown(t *testing.T) {
	slow := trellistest.Slow(trellistest.StageBoot, time.Second)
	applying(t, config.Tree{Actors: []host.Spec{parserSpec(1)}}, slow, func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error {
		want := config.Tree{Actors: []host.Spec{withGrace(parserSpec(1), time.Second)}}
		p.Process("parser").Die(3)
		synctest.Wait() // it has an hour of pause before it
		before := time.Now()
		apply(ctx, t, tree, want, "restart parser")
		if waited := time.Since(before); waited > time.Minute {
			t.Errorf("V06: it took %v, so that the pause was waited for", waited)
		}
		want.Actors[0].Grace = config.Duration(2 * time.Second)
		p.Process("parser").Die(3) // and at the same moment
		apply(ctx, t, tree, want, "restart parser")

		first := make(chan error, 1)
		want.Actors[0].Grace = config.Duration(3 * time.Second)
		other := config.Tree{Actors: []host.Spec{withGrace(parserSpec(1), 4*time.Second)}}
		go func() {
			_, err := tree.Apply(ctx, want)
			first <- err
		}()
		synctest.Wait() // it is starting
		apply(ctx, t, tree, other, "restart parser")
		if err := <-first; err != nil {
			t.Error(err)
		}
		idOf(ctx, t, tree, "parser")
		return nil
	})
}

// What does not come up is told of its actor, and ends nobody else; the next Apply tries it again. The end of ctx
// leaves what goes on.
func TestV02_ApplyOfWhatDoesNotStart(t *testing.T) {
	var broken bool
	start := func(context.Context, trellistest.Stage) error {
		if broken {
			return errors.New("no more paper")
		}
		return nil
	}
	a, b := plug("a", "good"), plug("b", "good")
	a.Restart = config.Permanent
	applying(t, config.Tree{Actors: []host.Spec{a, b}}, start, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		before := idOf(ctx, t, tree, "b")
		want := config.Tree{Actors: []host.Spec{withGrace(a, time.Second), b, plug("c", "good")}}
		broken = true
		changes, err := tree.Apply(ctx, want)
		if text := fmt.Sprint(did(changes)); err != nil || len(changes) != 2 || strings.Count(text, "no more paper") != 2 {
			t.Errorf("%s, %v", text, err)
		}
		broken = false
		apply(ctx, t, tree, want, "scale a", "scale c")
		if id := idOf(ctx, t, tree, "b"); !id.Is(before) {
			t.Errorf("b was restarted: %v after %v", id, before)
		}
		idOf(ctx, t, tree, "a")
		idOf(ctx, t, tree, "c")
		return nil
	})
}

// F09: what cannot be applied changes nothing.
func TestF09_ApplyRefuses(t *testing.T) {
	a := plug("a", "good")
	applying(t, config.Tree{Actors: []host.Spec{a}}, nil, func(ctx context.Context, tree *host.Tree, _ *trellistest.Programs) error {
		before := idOf(ctx, t, tree, "a")
		over, cancel := context.WithCancel(ctx)
		cancel()
		unbuilt := host.Spec{Name: "b", Package: "./b"}
		for _, c := range []struct {
			ctx  context.Context
			want config.Tree
			text string
		}{
			{ctx, config.Tree{}, "expected at least one actor"},
			{ctx, config.Tree{Actors: []host.Spec{withGrace(a, time.Second), unbuilt}}, "actors.b.package"},
			{over, config.Tree{Actors: []host.Spec{withGrace(a, time.Second)}}, "context canceled"},
		} {
			if changes, err := tree.Apply(c.ctx, c.want); err == nil || len(changes) > 0 || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, %v; want %q", did(changes), err, c.text)
			}
		}
		if id := idOf(ctx, t, tree, "a"); !id.Is(before) {
			t.Errorf("a was restarted: %v after %v", id, before)
		}
		return nil
	})
	if _, err := host.FromContext(t.Context()).Plan(t.Context(), config.Tree{Actors: []host.Spec{a}}); err == nil {
		t.Error("a tree without actors was compared")
	}
}

// N04: while all ends, nothing is applied any more.
func TestN04_ApplyWhileAllEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()})
		ctx, cancel := context.WithCancelCause(programs.Context())
		err := host.OpenTree(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{plug("a", "good")}, func(_ context.Context, tree *host.Tree) error {
			cancel(errThatIsAll)
			if _, err := tree.Apply(t.Context(), config.Tree{Actors: []host.Spec{plug("a", "good"), plug("b", "good")}}); !errors.Is(err, fault.ErrNurseryClosed) {
				t.Errorf("applied while all ends: %v", err)
			}
			return nil
		})
		if !errors.Is(err, errThatIsAll) {
			t.Error(err)
		}
	})
}

// V04: the end of a pause that is over sooner, since people have restarted the actor, does not shorten the one after it.
func TestV04_APauseIsItsOwn(t *testing.T) {
	spec := plug("a", "good")
	spec.Restart, spec.Backoff = config.Permanent, config.Backoff{Initial: config.Duration(8 * time.Second), Max: config.Duration(8 * time.Second)}
	told := applying(t, config.Tree{Actors: []host.Spec{spec}}, nil, func(ctx context.Context, tree *host.Tree, p *trellistest.Programs) error {
		p.WantEvents(trellistest.Started("a"))
		p.Process("a").Die(1)
		p.WantEvents(trellistest.Restarting("a"))
		time.Sleep(5 * time.Second) // of the first pause
		changed := spec
		changed.Grace = config.Duration(time.Second)
		apply(ctx, t, tree, config.Tree{Actors: []host.Spec{changed}}, "restart a")
		p.WantEvents(trellistest.Started("a"))
		p.Process("a").Die(1)
		p.WantEvents(trellistest.Restarting("a"), trellistest.Started("a"))
		return nil
	})
	var paused directory.Event
	for _, e := range told {
		switch {
		case e.Pause > 0:
			paused = e
		case e.To == directory.Starting && e.Epoch == 3 && e.Time.Sub(paused.Time) != paused.Pause:
			t.Errorf("V04: it starts after %v of a pause of %v", e.Time.Sub(paused.Time), paused.Pause)
		}
	}
	if paused.Epoch != 2 {
		t.Errorf("the last pause is after process %d, want 2", paused.Epoch)
	}
}
