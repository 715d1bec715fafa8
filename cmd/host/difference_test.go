package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
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

// What a variable has put into a setting is not shown, but which one it is.
func TestDifferenceOfVariables(t *testing.T) {
	have := treeOf(t, `
actors:
  - {name: "${NAME}", command: [x, "--key=${KEY}", "-v"], dir: "/${KEY}", limits: {memory: "${SIZE}"}, actors: [{name: below, command: ["${KEY}"]}]}
`, "NAME", "a", "KEY", "secret1", "SIZE", "16MiB")
	want := treeOf(t, `
actors:
  - {name: "${NAME}", command: [x, "--key=${KEY}", "-w"], dir: "/${KEY}", limits: {memory: "${SIZE}"}, actors: [{name: below, command: ["${KEY}", x]}]}
`, "NAME", "a", "KEY", "secret2", "SIZE", "32MiB")
	const text = `! a: other settings
    actors.below.command: ["${KEY}"], in the file ["${KEY}" "x"]
    command: ["x" "--key=${KEY}" "-v"], in the file ["x" "--key=${KEY}" "-w"]
    dir: (not shown), in the file (not shown)
    limits.memory: 16MiB, in the file 32MiB

Only a new start of host serve changes these: a.
`
	running := func(string) int { return 1 }
	if p := difference(have, want, running); p.String() != text {
		t.Errorf("got\n%swant\n%s", p, text)
	}
	have.shown, want.shown = config.Tree{}, config.Tree{} // as somebody may say who joins
	if p := difference(have, want, running); strings.Contains(p.String(), "secret") {
		t.Errorf("it shows\n%s", p)
	}
}

// A plan has each difference once, without the values of environments.
func TestDifference(t *testing.T) {
	have := treeOf(t, `
name: before
actors:
  - {name: same, command: [x], restart: temporary, grace: 5s}
  - {name: more, command: [x], replicas: 2}
  - {name: ended, command: [x]}
  - {name: left, command: [x], replicas: 2}
  - {name: gone, command: [x]}
  - name: other
    command: [x, -v]
    env: {TOKEN: one, OLD: two}
    limits: {memory: 16MiB}
    actors: [{name: below, command: [x], replicas: 3}]
`)
	want := treeOf(t, `
name: after
supervision: {strategy: one_for_one}
actors:
  - {name: new, command: [x]}
  - {name: same, command: [x]}
  - {name: more, command: [x], replicas: 4}
  - {name: ended, command: [x]}
  - name: other
    command: [x, -w]
    env: {TOKEN: three, NEW: four}
    limits: {memory: 32MiB}
    actors: [{name: below, command: [x], replicas: 3, restart: transient}, {name: beside, command: [x]}]
`)
	counts := map[string]int{"same": 1, "more": 2, "left": 1, "other": 1}
	running := func(name string) int { return counts[name] }
	p := difference(have, want, running)
	sameAsGolden(t, "plan.txt", []byte(p.String()))
	var out bytes.Buffer
	if err := (&program{stdout: &out}).printJSON(p); err != nil {
		t.Fatal(err)
	}
	sameAsGolden(t, "plan.json", out.Bytes())
	for _, value := range []string{"one", "two", "three", "four"} {
		if bytes.Contains(out.Bytes(), []byte(`"`+value+`"`)) {
			t.Errorf("the plan shows the value %s of an environment", value)
		}
	}
	if p = difference(have, have, func(string) int { return 1 }); len(p.Changes) != 2 {
		t.Errorf("%v; want that more and left are scaled", p)
	}
	counts = map[string]int{"same": 1, "more": 2, "ended": 1, "left": 2, "gone": 1, "other": 1}
	if p = difference(have, have, running); p.String() != "no difference\n" {
		t.Errorf("%v; want no difference", p)
	}
}

// Paths are relative to the folder of their file.
func TestPathsOfAnotherFolder(t *testing.T) {
	r := newPlanner(wantedOf(t, "actors: [{name: a, command: [./x, ./y], dir: d, actors: [{name: b, package: ./p}]}, {name: c, command: [x]}]", "/one/config.yaml"))
	w := wantedOf(t, "actors: [{name: a, command: [../one/x, ./y], dir: /one/d, actors: [{name: b, package: ../one/p}]}, {name: c, command: [x]}]", "/two/config.yaml")
	r.begin(&host.Tree{}) // which is empty
	p, err := r.plan(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Changes {
		if c.Action != scaleAction { // nothing runs
			t.Errorf("%+v", c)
		}
	}
	if _, err := r.plan(t.Context(), wanted{Folder: "/one", Tree: `{"actors": []}`}); err == nil {
		t.Error("a tree without actors is compared")
	}
	if _, err := r.plan(t.Context(), wanted{Folder: "/one", Tree: `{`}); err == nil {
		t.Error("a text that is not JSON is compared")
	}
}
