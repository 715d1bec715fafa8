package read_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// maxFile is how many bytes a file may have (docs/bounds.md).
const maxFile = 4 << 20

// B14: a tag is a problem, in the file and in an option: nothing here gives one a meaning.
func TestB14_TagsAreRefused(t *testing.T) {
	for value, tag := range map[string]string{
		"!env HOME": "!env", "!secret [a]": "!secret", "!x {a: b}": "!x", "{deep: [!env x]}": "!env",
		"!!binary aGk=": "!!binary", "!!set {a}": "!!set", "!!omap [a: b]": "!!omap", "!!timestamp 2026": "!!timestamp",
		"!!int 1": "!!int", "!!str 1": "!!str", "!!map {}": "!!map", "!!str [a]": "!!str",
		"{!!binary aGk: 1}": "", "{!!str a: 1}": "",
	} {
		want := "unknown tag " + tag + "; remove it, and put the value into quotes if it is a text"
		if tag == "" {
			want = "expected a plain key, got one with the tag "
		}
		_, err := parse("run: {actor: a, endpoint: e, args: "+value+"}\n"+one(""), read.Options{})
		_, setErr := parse("run: {actor: a, endpoint: e}\n"+one(""), read.Options{Set: []string{"run.args=" + value}})
		for option, err := range map[string]error{"f.yaml:1:": err, "--set run.args=": setErr} {
			wrong, ok := errors.AsType[*config.Error](err)
			if !ok || len(wrong.Problems) != 1 || !strings.HasPrefix(wrong.Problems[0].Message, want) || !strings.HasPrefix(err.Error(), option) {
				t.Errorf("%s%s: got %v, want %s", option, value, err, want)
			}
		}
	}
}

// X12: actors may be nested as deeply as anybody can want.
func TestX12_ActorsMayBeNestedDeeply(t *testing.T) {
	const levels = 1000
	text := strings.Repeat("actors: [{name: a, command: [x], ", levels) + "dir: /" + strings.Repeat("}]", levels)
	got := 0
	for actors := valid(t, text, read.Options{}).Actors; len(actors) > 0; actors = actors[0].Actors {
		got++
	}
	if got != levels {
		t.Errorf("%d levels, want %d", got, levels)
	}
}

// X13: a tree that no machine can start is a problem.
func TestX13_ATreeHasABoundedNumberOfProcesses(t *testing.T) {
	tree := func(replicas int) string {
		return one(fmt.Sprintf("    replicas: 100\n    actors: [{name: b, command: [x], replicas: %d}]\n", replicas))
	}
	valid(t, tree(99), read.Options{})
	problems(t, tree(1000), read.Options{}, "f.yaml:2:3: actors: expected a tree of at most 10000 processes, replicas and children included, got 100100")
}

// X14: neither what is read of a file nor what is said about it is without a bound.
func TestX14_HostileFilesCostLittle(t *testing.T) {
	var keys, actors, longNames strings.Builder
	for i := range 199_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for i := range 400 {
		fmt.Fprintf(&longNames, "{name: %d%s, depends_on: {y: started}},", i, strings.Repeat("x", 10_000))
	}
	for i := range 20_000 {
		fmt.Fprintf(&actors, "- {name: a%d, x: 1}\n", i)
	}
	if runtime.GOOS != "windows" {
		if _, err := read.Load("/dev/zero", read.Options{}); err == nil || err.Error() != "/dev/zero: expected a file of at most 4MiB" {
			t.Error(err)
		}
	}
	for name, text := range map[string]string{
		"100,000 actors":       "actors:\n" + strings.Repeat("- {name: a}\n", 100_000),
		"20,000 bad actors":    "actors:\n" + actors.String(),
		"200,000 unknown keys": keys.String() + one(""),
		"a large file":         strings.Repeat("#", maxFile+1),
		"a long key":           strings.Repeat("x", maxFile-100) + ": 1",
		"a long tag":           "name: !" + strings.Repeat("x", maxFile-100) + " x",
		"long names":           "actors: [" + longNames.String() + "]",
		"a long name":          "actors: [{name: " + strings.Repeat("x", maxFile-100) + "}]",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parse(text, read.Options{})
		runtime.ReadMemStats(&after)
		wrong, ok := errors.AsType[*config.Error](err)
		if !ok || len(wrong.Problems) > config.MaxProblems || len(err.Error()) > 64<<10 {
			t.Errorf("%s: %d bytes of problems: %.500s", name, len(fmt.Sprint(err)), fmt.Sprint(err))
		}
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 400 {
			t.Errorf("%s: %d MiB were allocated in all", name, used)
		} else {
			t.Logf("%s: %d MiB in all, %d bytes of problems", name, used, len(err.Error()))
		}
	}
}

// A number is one only where it has the form of JSON; on a command line, only where it
// would be printed so.
func TestB14_OneRuleForNumbers(t *testing.T) {
	const refused = "expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got "
	for text, want := range map[string]struct{ file, option any }{ // a file's nil is a problem
		"010": {nil, "010"}, "007": {nil, "007"}, "0x10": {nil, "0x10"}, "1_000": {nil, "1_000"}, ".5": {nil, ".5"},
		"1.10": {json.Number("1.10"), "1.10"}, "1234e56": {json.Number("1234e56"), "1234e56"},
		"9007199254740993": {json.Number("9007199254740993"), json.Number("9007199254740993")},
		"-1.5":             {json.Number("-1.5"), json.Number("-1.5")},
		`"5"`:              {"5", "5"}, "1e-9": {json.Number("1e-9"), "1e-9"},
	} {
		tree, err := parse("run: {actor: a, endpoint: e, args: "+text+"}\n"+one(""), read.Options{})
		switch {
		case want.file == nil:
			if err == nil || !strings.HasSuffix(err.Error(), refused+`"`+text+`"`) {
				t.Errorf("%s in a file: %v, want a problem", text, err)
			}
		case err != nil || tree.Run.Args != want.file:
			t.Errorf("%s in a file is %v, %v; want %v", text, tree, err, want.file)
		}
		for name, o := range map[string]read.Options{"--set": {Set: []string{"run.args.n=" + text}}, "an argument": {Args: []string{"n=" + text}}} {
			tree := valid(t, "run: {actor: a, endpoint: e, args: {n: 1}}\n"+one(""), o)
			if diff := cmp.Diff(map[string]any{"n": want.option}, tree.Run.Args); diff != "" {
				t.Errorf("%s in %s: %s", text, name, diff)
			}
		}
	}
	problems(t, one("    replicas: 010\n"), read.Options{}, `f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got "010"`)
}
