package read_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

func TestAliasesAreCopies(t *testing.T) {
	tree := valid(t, `
actors:
  - {name: a, command: &c [x, -v], env: &e {K: v}}
  - {name: b, command: *c, env: *e}
`, read.Options{Set: []string{"actors.b.env.K=w", "actors.b.command=[y]"}})
	want := []config.Actor{
		{Name: "a", Command: []string{"x", "-v"}, Env: map[string]string{"K": "v"}},
		{Name: "b", Command: []string{"y"}, Env: map[string]string{"K": "w"}},
	}
	if diff := cmp.Diff(want, tree.Actors); diff != "" {
		t.Error(diff)
	}
}

func TestMergeKeysGiveWayToOwnKeys(t *testing.T) {
	tree := valid(t, `
actors:
  - &a {name: a, command: [x], env: {K: v}, grace: 1s}
  - &b {<<: *a, name: b, grace: 2s}
  - {name: c, <<: [{grace: 3s, dir: /c}, *b]}
`, read.Options{Set: []string{"actors.b.env.K=w"}})
	a := config.Actor{Name: "a", Command: []string{"x"}, Env: map[string]string{"K": "v"}, Grace: 1e9}
	b, c := a, a
	b.Name, b.Grace, b.Env = "b", 2e9, map[string]string{"K": "w"}
	c.Name, c.Grace, c.Dir = "c", 3e9, "/c"
	if diff := cmp.Diff([]config.Actor{a, b, c}, tree.Actors); diff != "" {
		t.Error(diff)
	}
}

func TestMergeKeysThatCannotBe(t *testing.T) {
	refused{
		"a text":          {"<<: x\n" + one(""), `f.yaml:1:5: expected a mapping to merge with <<, got "x"`},
		"a list of texts": {one("    <<: [x]\n"), `f.yaml:4:10: actors.a: expected a mapping to merge with <<, got "x"`},
	}.check(t)
}

func TestAliasesAreNoKeys(t *testing.T) {
	problems(t, one("    env: {A: &a K, *a : v}\n"), read.Options{}, "f.yaml:4:20: actors.a.env: expected a plain key, got an alias")
}

func TestExplodingAndCyclicAliasesAreProblems(t *testing.T) {
	const tooMuch = "expected at most 8000 levels and 200000 values; aliases count as what they stand for"
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += strings.NewReplacer("C", string(c), "P", string(c-1)).Replace("C: &C [*P,*P,*P,*P,*P,*P,*P,*P,*P]\n")
	}
	deep := one(fmt.Sprintf("    env: {K: %s%s}\n", strings.Repeat("[", 8000), strings.Repeat("]", 8000)))
	for name, text := range map[string]string{"bomb": bomb, "cycle": "actors: &a [*a]\n", "depth": deep} {
		t.Run(name, func(t *testing.T) {
			if tree, err := parse(text, read.Options{}); err == nil || strings.Count(err.Error(), tooMuch) != 1 {
				t.Errorf("got %v, %v; want one problem with %q", tree, err, tooMuch)
			}
		})
	}
}
