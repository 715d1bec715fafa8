package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// sight is what an actor sees of its tree.
type sight struct {
	Here  string   `json:"here"`
	All   []string `json:"all"`   // paths, and states
	Found string   `json:"found"` // where the one is that was asked for
}

// lookAround waits for an actor, and looks at the whole tree, from a handler.
func lookAround(ctx context.Context, name string) (s sight, err error) {
	found, err := directory.WaitFor(ctx, name)
	if err != nil {
		return s, err
	}
	entries, err := directory.Query(ctx, "")
	for _, e := range entries {
		s.All = append(s.All, fmt.Sprintf("%s %s %d %d", e.Path, e.State, e.Epoch, len(e.Endpoints)))
	}
	s.Here, s.Found = directory.Here(ctx), found.Entry.Path
	return s, err
}

// D02: a handler sees the tree that the body of the root sees, and knows where in it its actor is.
func TestD02_AHandlerSeesTheWholeTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := branches(t, threeLevels(), func(ctx context.Context, _ *trellistest.Programs) error {
			synctest.Wait()
			want, err := lookAround(ctx, "leaf")
			if err != nil || want.Here != "" || want.Found != "middle/lower/leaf" || len(want.All) != len(allOfThreeLevels) {
				t.Errorf("D02: the root sees %+v, %v", want, err)
			}
			for _, path := range []string{"walker", "middle"} {
				p, err := directory.Find(ctx, path)
				if err != nil {
					return err
				}
				got, err := lookup.Call(ctx, p, "leaf")
				if err != nil || got.Here != path || got.Found != want.Found || !slices.Equal(got.All, want.All) {
					t.Errorf("D02: %s sees %+v, %v; want %+v", path, got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What a plugin hosts, in code of its own, is below it for everybody, and in what it is told itself.
func TestD01_PathsAreFromTheRootEverywhere(t *testing.T) {
	hires := contract.Func[none, []string]("hires")
	hire := func(ctx context.Context, _ none) (paths []string, err error) {
		return paths, host.OpenNursery(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
			helper, err := n.Start(ctx, plug("helper", "good"))
			if err != nil {
				return err
			}
			paths = append(paths, helper.Path())
			found, err := directory.Find(ctx, "helper")
			if err != nil {
				return err
			}
			paths = append(paths, found.Entry.Path)
			for e := range host.Events(ctx) {
				paths = append(paths, e.Path)
				break
			}
			s, err := lookup.Call(ctx, helper, "boss")
			paths = append(paths, s.Here)
			return errors.Join(err, helper.Cancel(ctx, "done"))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t,
			trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()},
			trellistest.Plugin{Name: "boss", Endpoints: []contract.Handler{hires.Handle(hire)}})
		err := host.OpenNursery(programs.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
			boss, err := n.Start(ctx, plug("boss", "boss"))
			if err != nil {
				return err
			}
			paths, err := hires.Call(ctx, boss, none{})
			if len(paths) != 4 {
				t.Errorf("D01: %v", paths)
			}
			for _, path := range paths {
				if path != "boss/helper" {
					t.Errorf("D01: %v; want boss/helper only", paths)
				}
			}
			return errors.Join(err, boss.Cancel(ctx, "done"))
		})
		if err != nil {
			t.Error(err)
		}
		for _, e := range programs.Events() {
			if e.Actor.Name == "helper" && e.Path != "boss/helper" {
				t.Errorf("D01: the root is told of %s", e.Path)
			}
		}
	})
}
