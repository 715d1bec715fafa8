package command

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func treeOf(t *testing.T, text string, variables ...string) *trees {
	t.Helper()
	var all trees
	tree, err := read.Parse("c.yaml", []byte(text), read.Options{Raw: &all.shown, Lookup: func(name string) (string, bool) {
		i := slices.Index(variables, name)
		return strings.Join(variables[i+1:min(i+2, len(variables))], ""), i >= 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	all.are = *tree
	return &all
}

func wantedOf(t *testing.T, text, file string) wanted {
	t.Helper()
	both := treeOf(t, text)
	w, err := asWanted(&both.are, &both.shown, file)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// restarted is that a host restarts an actor of two files, with what it says of the settings: with defaults, and without what it hosts.
func restarted(path string, have, want *trees) host.Change {
	spec := func(t *trees) *host.Spec {
		said, _ := t.find(path)
		all := said.WithDefaults()
		if all.Replicas = 0; len(all.Actors) > 0 {
			all.Actors = []host.Spec{{}}
		}
		return &all
	}
	return host.Change{Path: path, Do: route.ChangeRestart, Have: spec(have), Want: spec(want)}
}

// What a variable has put into a setting is not shown, but which one it is.
func TestO04_DifferenceOfVariables(t *testing.T) {
	have := treeOf(t, `
actors:
  - {name: "${NAME}", command: [x, "--key=${KEY}", "-v"], dir: "/${KEY}", limits: {memory: "${SIZE}"}, actors: [{name: below, command: ["${KEY}"]}]}
`, "NAME", "a", "KEY", "secret1", "SIZE", "16MiB")
	want := treeOf(t, `
actors:
  - {name: "${NAME}", command: [x, "--key=${KEY}", "-w"], dir: "/${KEY}", limits: {memory: "${SIZE}"}, actors: [{name: below, command: ["${KEY}", x]}]}
`, "NAME", "a", "KEY", "secret2", "SIZE", "32MiB")
	const text = `! a: restarts with other settings
    command: ["x" "--key=${KEY}" "-v"], in the file ["x" "--key=${KEY}" "-w"]
    dir: (not shown), in the file (not shown)
    limits.memory: 16MiB, in the file 32MiB
! a#2/below: restarts with other settings
    command: ["${KEY}"], in the file ["${KEY}" "x"]
`
	changes := []host.Change{restarted("a", have, want), restarted("a#2/below", have, want)}
	if p := shownPlan(have, have, want, changes); p.String() != text {
		t.Errorf("O04: got\n%swant\n%s", p, text)
	}
	other := treeOf(t, `actors: [{name: a, command: [x, "--key=${OTHER}"]}, {name: b, command: [x]}]`, "OTHER", "secret3")
	for _, file := range []*trees{{}, other, {are: have.are}} { // as somebody may say who joins, and where the host has more than the file says
		if p := shownPlan(file, file, file, changes); strings.Contains(p.String(), "secret") || len(p.Changes[0].Settings) != 3 {
			t.Errorf("O04: it shows\n%s", p)
		}
	}
}

// A plan has each difference once, without the values of environments, and says what could not be done.
func TestDifference(t *testing.T) {
	have := treeOf(t, `
actors:
  - name: other
    command: [x, -v]
    env: {TOKEN: one, OLD: two}
    limits: {memory: 16MiB}
  - {name: hosts, command: [x]}
`)
	want := treeOf(t, `
supervision: {strategy: one_for_one}
actors:
  - {name: new, command: [x], replicas: 3}
  - name: other
    command: [x, -w]
    env: {TOKEN: three, NEW: four}
    limits: {memory: 32MiB}
  - {name: hosts, command: [x], actors: [{name: below, command: [x], grace: 1s}]}
`)
	supervised := func(s config.Supervision) *host.Spec { return &host.Spec{Supervision: s.WithDefaults()} }
	p := shownPlan(have, have, want, []host.Change{
		{Do: route.ChangeSupervise, Have: supervised(config.Supervision{}), Want: supervised(config.Supervision{Strategy: config.OneForOne})},
		{Path: "new", Do: route.ChangeAdd, Want: &host.Spec{}, Err: errors.New("no more\npaper")},
		{Path: "more", Do: route.ChangeScale, Running: 2, Want: &host.Spec{Replicas: 4}},
		restarted("other", have, want),
		restarted("hosts", have, want),
		{Path: "built", Do: route.ChangeRestart, Have: &host.Spec{Package: "./p"}, Want: &host.Spec{Package: "./p"}},
		{Path: "beside", Do: route.ChangeRestart},
		{Path: "left", Do: route.ChangeRemove, Running: 1},
		{Path: "hung", Do: route.ChangeAsk, Err: errors.New("context deadline exceeded")},
	})
	sameAsGolden(t, "plan.txt", []byte(p.String()))
	var out bytes.Buffer
	if err := (&program{stdout: &out, output: "json"}).printPlan(p, true); err == nil || err.Error() != "2 changes could not be done; another host apply tries again" {
		t.Error(err)
	}
	sameAsGolden(t, "plan.json", out.Bytes())
	for _, value := range []string{"one", "two", "three", "four"} {
		if bytes.Contains(out.Bytes(), []byte(`"`+value+`"`)) {
			t.Errorf("the plan shows the value %s of an environment", value)
		}
	}
}

// Paths are relative to the folder of their file.
func TestPathsOfAnotherFolder(t *testing.T) {
	var read []*trees
	for _, w := range []wanted{
		wantedOf(t, "actors: [{name: a, command: [./x, ./y], dir: d, actors: [{name: b, package: ./p}]}, {name: c, command: [x]}]", "/one/config.yaml"),
		wantedOf(t, "actors: [{name: a, command: [../one/x, ./y], dir: /one/d, actors: [{name: b, package: ../one/p}]}, {name: c, command: [x]}]", "/two/config.yaml"),
	} {
		all, _, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, all)
	}
	if diff := cmp.Diff(read[0].are, read[1].are); diff != "" {
		t.Error(diff)
	}
}

// What cannot be compared is an error.
func TestF09_PlansOfNonsense(t *testing.T) {
	programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "a", Endpoints: jobs()})
	r := newPlanner(wantedOf(t, "actors: [{name: a, command: [a]}]", "/one/config.yaml"))
	err := host.OpenTree(programs.Context(), host.Options{}, []host.Spec{{Name: "a", Command: []string{"a"}}}, func(ctx context.Context, tree *host.Tree) error {
		r.begin(ctx, tree)
		for _, text := range []string{`{"actors": []}`, `{`, `{"actors": [{"name": "a", "package": "./never-built"}]}`} {
			if p, err := r.change(ctx, wanted{Folder: "/one", Tree: text, Shown: "{}"}, true); err == nil {
				t.Errorf("F09: %s: %v", text, p)
			}
		}
		if p, err := r.change(ctx, r.now(), false); err != nil || len(p.Changes) > 0 {
			t.Errorf("F09: %v, %v; want no difference", p, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What differs of other machines is told, and from what the host was started with, whatever has been applied since.
func TestD20_PlansOfOtherMachines(t *testing.T) {
	first := treeOf(t, `
fleet: {credentials: a, listen: "10.0.0.1:7077", agents: [{name: b, launch: [ssh, b, "${KEY}"]}]}
actors: [{name: a, command: [a]}]
`, "KEY", "secret1")
	want := treeOf(t, `
fleet: {credentials: a, listen: "10.0.0.1:7077", lease: 9s, agents: [{name: b, launch: [ssh, b, "${KEY}"]}, {name: c, launch: [ssh, c]}]}
actors: [{name: a, command: [a]}]
`, "KEY", "secret2")
	const text = `> the host: other settings from its next start on
    fleet.agents.b.launch: (not shown), in the file (not shown)
    fleet.agents.c.launch: none, in the file ["ssh" "c"]
    fleet.agents.c.name: none, in the file c
    fleet.lease: none, in the file 9s
`
	if p := shownPlan(first, want, want, nil); p.String() != text {
		t.Errorf("D20: got\n%swant\n%s", p, text)
	}
	if p := shownPlan(first, want, first, nil); p.String() != "no difference\n" {
		t.Errorf("D20: %s", p)
	}
}

// F09: of two files that are applied at the same moment, the one that counts as the tree's is that which was applied last.
func TestF09_OneFileIsAppliedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "a", Endpoints: jobs()})
		r := newPlanner(wantedOf(t, "actors: [{name: a, command: [a]}]", "/one/config.yaml"))
		more := wantedOf(t, "actors: [{name: a, command: [a], replicas: 2}]", "/one/config.yaml")
		err := host.OpenTree(programs.Context(), host.Options{}, []host.Spec{{Name: "a", Command: []string{"a"}}}, func(ctx context.Context, tree *host.Tree) error {
			r.begin(ctx, tree)
			r.turn <- struct{}{} // another one is applied
			applying := task.Start(func() {
				if p, err := r.change(ctx, more, true); err != nil || len(p.Changes) != 1 {
					t.Errorf("F09: %v, %v", p, err)
				}
			})
			synctest.Wait()
			if all, err := tree.Portals("a"); err != nil || len(all) != 1 {
				t.Errorf("F09: %d replicas, %v: it does not wait", len(all), err)
			}
			<-r.turn
			applying.Wait()
			if r.now().Tree != more.Tree {
				t.Error("F09: another file counts as the tree's")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
