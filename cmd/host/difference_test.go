package main

import (
	"bytes"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

func treeOf(t *testing.T, text string) *config.Tree {
	t.Helper()
	tree, err := read.Parse("c.yaml", []byte(text), read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
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
	r := newPlanner()
	var err error
	if r.file, err = asWanted(treeOf(t, "actors: [{name: a, command: [./x, ./y], dir: d, actors: [{name: b, package: ./p}]}, {name: c, command: [x]}]"), "/one/config.yaml"); err != nil {
		t.Fatal(err)
	}
	w, err := asWanted(treeOf(t, "actors: [{name: a, command: [../one/x, ./y], dir: /one/d, actors: [{name: b, package: ../one/p}]}, {name: c, command: [x]}]"), "/two/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
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
