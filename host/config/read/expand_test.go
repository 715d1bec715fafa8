package read_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config/read"
)

func TestVariables(t *testing.T) {
	tree := valid(t, `
run:
  actor: a
  endpoint: e
  args:
    {set: "${TEXT}", twice: "${N}/${ROOT}", default: "${NOPE:-d}", of empty: "${EMPTY:-d}", set with default: "${TEXT:-d}",
     empty: "a${EMPTY}b", empty default: "a${NOPE:-}b", odd default: "${NOPE:-a:?-{b}", demanded: "${TEXT:?m}",
     dollar: "$$", dollars: "$$$$${N}", no variable: "$${N}", alone: "5$", before a word: "$N", "${N}": key}
`+one("    replicas: ${N}\n    env:\n      NUMBER: \"${N}\"\n      LIST: ${NOPE:-[1]}\n      NONE: ${EMPTY}\n"), read.Options{})
	want := map[string]any{
		"set": "yes", "twice": "4//src", "default": "d", "of empty": "d", "set with default": "yes",
		"empty": "ab", "empty default": "ab", "odd default": "a:?-{b", "demanded": "yes",
		"dollar": "$", "dollars": "$$4", "no variable": "${N}", "alone": "5$", "before a word": "$N", "${N}": "key",
	}
	if diff := cmp.Diff(want, tree.Run.Args); diff != "" {
		t.Error(diff)
	}
	env := map[string]string{"NUMBER": "4", "LIST": "[1]", "NONE": ""}
	if diff := cmp.Diff(env, tree.Actors[0].Env); diff != "" || tree.Actors[0].Replicas != 4 {
		t.Error(tree.Actors[0].Replicas, diff)
	}
}

// A plain value gets its type from what its variables are, one in quotes keeps it.
func TestVariablesHaveTypes(t *testing.T) {
	tree := valid(t, one(`
run:
  actor: a
  endpoint: e
  args:
    number: ${N}
    quoted: '${N}'
    text: ${TEXT}
    list: ${NOPE:-[1]}
    empty: ${EMPTY}
    comment: ${COMMENT}
    truth: ${NOPE:-true}
`), read.Options{})
	want := map[string]any{
		"number": json.Number("4"), "quoted": "4", "text": "yes", "list": "[1]", "empty": "", "comment": "5 # x", "truth": true,
	}
	if diff := cmp.Diff(want, tree.Run.Args); diff != "" {
		t.Error(diff)
	}
}

// Problems name the actor that they are in, also when its name has a variable.
func TestVariablesThatCannotBe(t *testing.T) {
	const form = "expected ${NAME}, ${NAME:-default} or ${NAME:?message}, none inside another, got "
	refused{
		"not set":        {one("    dir: ${NOPE}/x\n"), "f.yaml:4:10: actors.a.dir: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
		"demanded":       {one("    dir: ${EMPTY:?name a folder}\n"), "f.yaml:4:10: actors.a.dir: variable EMPTY is not set: name a folder"},
		"not closed":     {one("    dir: a${ROOT\n"), "f.yaml:4:10: actors.a.dir: ${ without its }; write $$ for a dollar sign"},
		"no name":        {one("    dir: ${}\n"), "f.yaml:4:10: actors.a.dir: " + form + "${}; write $$ for a dollar sign"},
		"a bad name":     {one("    dir: ${1}\n"), "f.yaml:4:10: actors.a.dir: " + form + "${1}; write $$ for a dollar sign"},
		"a bad operator": {one("    dir: ${N:+x}\n"), "f.yaml:4:10: actors.a.dir: " + form + "${N:+x}; write $$ for a dollar sign"},
		"nested":         {one("    dir: ${A:-${B}}\n"), "f.yaml:4:10: actors.a.dir: " + form + "${A:-${B}; write $$ for a dollar sign"},
		"two at once": {
			one("    dir: ${A}${B}\n"),
			"f.yaml:4:10: actors.a.dir: variable A is not set; set it, or give a default as in ${A:-default}\n" +
				"f.yaml:4:10: actors.a.dir: variable B is not set; set it, or give a default as in ${B:-default}",
		},
		"for a number":   {one("    replicas: ${NOPE}\n"), "f.yaml:4:15: actors.a.replicas: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
		"empty number":   {one("    replicas: ${EMPTY}\n"), "f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got \"\""},
		"in a list":      {one("  - {name: b, command: [x, \"${NOPE}\"]}\n"), "f.yaml:4:28: actors.b.command[1]: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
		"below the name": {"actors: [{name: '${TEXT}', command: [x], dir: '${NOPE}'}]", "f.yaml:1:47: actors.yes.dir: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
		"no UTF-8":       {one("    dir: ${LATIN}\n"), `f.yaml:4:10: actors.a.dir: expected UTF-8 text, got "\xe4"`},
		"in the name":    {"actors: [{name: '${NOPE}', command: [x]}]", "f.yaml:1:17: actors[0].name: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
	}.check(t)
}
