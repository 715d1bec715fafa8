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

// A mapping with a merge key is one problem, and not one more for each key that it would bring.
func TestMergeKeysAreRefused(t *testing.T) {
	const want = "merge keys (<<) are not read here; write the keys out (a long value may be an alias, as in env: *common)"
	refused{
		"of an actor":     {"actors:\n- &a {name: a, command: [x]}\n- {<<: *a, name: b}\n", "f.yaml:3:4: actors.b: " + want},
		"of the tree":     {"<<: x\n" + one(""), "f.yaml:1:1: " + want},
		"of an argument":  {"run: {actor: a, endpoint: e, args: {<<: [x]}}\n" + one(""), "f.yaml:1:37: run.args: " + want},
		"an ordinary key": {one("    '<<': x\n"), "f.yaml:4:5: actors.a.<<: unknown key; the keys here are " + allKeys},
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
