package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// measured are the numbers of a tree, by the paths of its actors.
func measured(t *testing.T, ctx context.Context) map[string]telemetry.Metrics { //nolint:revive // t comes first
	t.Helper()
	all, err := telemetry.Measure(ctx)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]telemetry.Metrics{}
	for i, m := range all {
		by[m.Actor] = m
		if i > 0 && all[i-1].Actor >= m.Actor {
			t.Errorf("O02: %s comes after %s", m.Actor, all[i-1].Actor)
		}
	}
	return by
}

// endpointOf is what an actor's numbers say of one of its endpoints.
func endpointOf(m telemetry.Metrics, name string) (e telemetry.Endpoint) {
	for _, other := range m.Endpoints {
		if other.Name == name {
			return other
		}
	}
	return e
}

// O02: the root is told the numbers of all actors, however deep, and each counts what its own endpoints do.
func TestO02_TheNumbersOfATree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := branches(t, threeLevels(), func(ctx context.Context, _ *trellistest.Programs) error {
			synctest.Wait()
			leaf, err := directory.WaitFor(ctx, "leaf")
			if err != nil {
				return err
			}
			for range 3 {
				if _, err := echo.Call(ctx, leaf, "x"); err != nil {
					return err
				}
			}
			if _, err := fail.Call(ctx, leaf, "x"); err == nil {
				t.Error("it did not fail")
			}
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			_, err = forever.Open(ctx, leaf, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
				all := measured(t, ctx)
				for _, path := range allOfThreeLevels {
					m, there := all[path]
					if !there || m.State != "ready" || m.Silent != "" || m.Since.IsZero() || m.Restarts != 0 || m.ID.IsZero() {
						t.Errorf("O02: %s: %+v", path, m)
					}
				}
				m := all["middle/lower/leaf"]
				if e := endpointOf(m, "echo"); e.Ended() != 3 || e.Failed != 0 || e.Running != 0 {
					t.Errorf("O02: echo: %+v", e)
				}
				if e := endpointOf(m, "fail"); e.Ended() != 1 || e.Failed != 1 {
					t.Errorf("O02: fail: %+v", e)
				}
				if e := endpointOf(m, "forever"); e.Ended() != 0 || e.Running != 1 || m.Open != 1 {
					t.Errorf("O02: forever: %+v; %d are open", e, m.Open)
				}
				if root := all[""]; root.State != "ready" || root.Open != 1 || root.Opened < 5 || len(all) != 1+len(allOfThreeLevels) {
					t.Errorf("O02: %d actors, the root: %+v", len(all), root)
				}
				stop()
				return nil
			})
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// O02: an actor that does not answer holds nobody up beyond a second, and costs one question, however often it is
// looked at; the others are told as ever. When it goes on it says its numbers again.
func TestO02_AnActorThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		specs := threeLevels()
		for i := range specs {
			specs[i].Health.Off = true
		}
		_, err := branches(t, specs, func(ctx context.Context, p *trellistest.Programs) error {
			synctest.Wait()
			walker := p.Process("walker")
			walker.Freeze()
			for range 3 {
				before := time.Now()
				all := measured(t, ctx)
				if took := time.Since(before); took != time.Second {
					t.Errorf("O02: a look has taken %v", took)
				}
				if m := all["walker"]; m.Silent != "it has not answered in time" || m.State != "ready" {
					t.Errorf("O02: %+v", m)
				}
				if m := all["middle/lower/leaf"]; m.Silent != "" {
					t.Errorf("O02: %+v", m)
				}
			}
			walker.Thaw()
			synctest.Wait()
			m := measured(t, ctx)["walker"]
			if m.Silent != "" || m.Accepted > 2 { // the question of before, and this one
				t.Errorf("O02: %+v", m)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// O02: deaths and restarts are counted by the host, for as long as the actor is there.
func TestO02_DeathsAndRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		walker := plug("walker", "good")
		walker.Restart = config.Permanent
		_, err := branches(t, []host.Spec{walker, plug("other", "good")}, func(ctx context.Context, p *trellistest.Programs) error {
			synctest.Wait()
			p.Process("walker").Die(3)
			time.Sleep(time.Minute)
			all := measured(t, ctx)
			if m := all["walker"]; m.Restarts != 1 || len(m.Deaths) != 1 || m.Deaths["crashed"] != 1 || m.State != "ready" || m.Health != "ok" {
				t.Errorf("O02: %+v", m)
			}
			if m := all["other"]; m.Restarts != 0 || m.Deaths != nil {
				t.Errorf("O02: %+v", m)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// O02: what a plugin asks for is refused: the numbers of others may be private.
func TestO02_APluginIsNotToldTheNumbersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := contract.Func[none, none]("ask")
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "curious", Endpoints: []contract.Handler{
			ask.Handle(func(ctx context.Context, n none) (none, error) {
				_, err := telemetry.Measure(ctx)
				return n, err
			}),
		}})
		err := host.OpenTree(programs.Context(), host.Options{}, []host.Spec{plug("curious", "curious")}, func(ctx context.Context, tree *host.Tree) error {
			p, err := tree.Portal("curious")
			if err == nil {
				_, err = ask.Call(ctx, p, none{})
			}
			return err
		})
		if !errors.Is(err, fault.ErrNotExposed) {
			t.Errorf("O02: %v", err)
		}
	})
	if _, err := telemetry.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "has no tree") {
		t.Errorf("O02: %v", err)
	}
}
