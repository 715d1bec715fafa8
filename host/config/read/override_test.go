package read_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

func TestOverrides(t *testing.T) {
	text := "run: {actor: a, endpoint: e, args: {n: 1, deep: {k: v}}}\n" + one("    actors: [{name: '${TEXT}', command: [x]}]\n")
	tree := valid(t, text, read.Options{
		Set: []string{
			"actors.a.actors.yes.replicas=3", "name=tree ${N}", "actors.a.env.A=b=c", "actors.a.command=[y, -z]",
			"actors.a.env.B=x # y", "actors.a.dir=", "actors.a.replicas=1", "actors.a.replicas=2",
		},
		Args: []string{"root=/x", "at=@x", "n=5", "deep.l=[1, {a: b}]", "text='5'", "on=true"},
	})
	want := &config.Tree{
		Name: "tree 4",
		Run: &config.Run{Actor: "a", Endpoint: "e", Args: map[string]any{
			"root": "/x", "at": "@x", "n": json.Number("5"), "text": "5", "on": true,
			"deep": map[string]any{"k": "v", "l": []any{json.Number("1"), map[string]any{"a": "b"}}},
		}},
		Actors: []config.Actor{{
			Name: "a", Command: []string{"y", "-z"}, Env: map[string]string{"A": "b=c", "B": "x # y"}, Replicas: 2,
			Actors: []config.Actor{{Name: "yes", Command: []string{"x"}, Replicas: 3}},
		}},
	}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Error(diff)
	}
}

func TestSetToNullTakesAway(t *testing.T) {
	tree := valid(t, "name: x\nrun: {actor: a, endpoint: e, args: {n: 1}}\n"+
		one("    health: {off: true}\n    env: {A: x, B: y}\n  - {name: b, package: ./b, depends_on: {c: started}}\n  - {name: c, command: [x]}\n"),
		read.Options{Set: []string{
			"actors.b.package=null", "actors.b.command=[b]", "actors.c=null", "actors.b.depends_on=~", "actors.a.health=null",
			"actors.a.env.A=null", "name=null", "run.args.n=null", "actors.b.grace=null",
		}})
	want := &config.Tree{
		Run: &config.Run{Actor: "a", Endpoint: "e", Args: map[string]any{"n": nil}},
		Actors: []config.Actor{
			{Name: "a", Command: []string{"x"}, Env: map[string]string{"B": "y"}},
			{Name: "b", Command: []string{"b"}},
		},
	}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Error(diff)
	}
	tree = valid(t, "run: {actor: a, endpoint: e, args: {n: 1}}\n"+one(""), read.Options{Set: []string{"run.args=null"}})
	if tree.Run.Args != nil {
		t.Errorf("got the arguments %v", tree.Run.Args)
	}
	problems(t, one(""), read.Options{Set: []string{"actors=null"}}, "f.yaml:1:1: actors: expected at least one actor, there is none")
}

// What --set gives is named by the option in every problem.
func TestBadOverrides(t *testing.T) {
	for set, want := range map[string]string{
		"actors.b.dir=x":            `actors: no actor "b" here; there are a`,
		"nothing":                   "expected path=value, as in actors.parser.replicas=2",
		"=x":                        "expected path=value, as in actors.parser.replicas=2",
		"actors..dir=x":             "expected path=value, as in actors.parser.replicas=2",
		"actors.a.replicas=x":       `actors.a.replicas: expected a whole number in decimal digits, got "x"`,
		"actors.a.replicas=0":       `actors.a.replicas: expected a number above zero, got "0"; to set none, leave the key out`,
		"actors.a.name.x=1":         `actors.a.name: expected a mapping to set "x" in, there is "a"`,
		"actors.a.command.0=x":      "actors.a.command: a list is set as a whole, as in actors.a.command=[x, y]",
		"actors.a.actors.b.dir=x":   `actors.a.actors: no actor "b" here; there is none`,
		"actors.a.dir=${NOPE}":      "actors.a.dir: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}",
		"actors.a.colour=red":       "actors.a.colour: unknown key; the keys here are " + allKeys,
		"actors.a.health.of=true":   `actors.a.health.of: unknown key; did you mean "off"?`,
		"actors.a.env={A: 1, A: 2}": "actors.a.env.A: this key stands here twice; keep one of them",
		"actors.a.while_down=fial":  `actors.a.while_down: expected wait or fail, got "fial"; did you mean "fail"?`,
		"supervisionn.window=1s":    `supervisionn: unknown key; did you mean "supervision"?`,
	} {
		t.Run(set, func(t *testing.T) {
			problems(t, one(""), read.Options{Set: []string{set}}, "--set "+set+": "+want)
		})
	}
}

// A problem of a list that an option replaces says where in it that was.
func TestProblemsOfWhatIsReplacedHaveTheirPlace(t *testing.T) {
	problems(t, "actors:\n- name: a\n  command:\n  - x\n  - {A: 1, A: 2}\n", read.Options{Set: []string{"actors.a.command=[x]"}},
		"f.yaml:5:12: actors.a.command[1].A: this key stands here twice; keep one of them")
}

func TestNamesFromOptionsAreCompared(t *testing.T) {
	problems(t, one("  - {name: b, command: [x]}\n"), read.Options{Set: []string{"actors.a.name=b"}},
		"f.yaml:4:12: actors.b.name: an actor beside it has the same name; rename one, or use replicas")
}

func TestBadArguments(t *testing.T) {
	main := func(args string) string { return "run: {actor: a, endpoint: e" + args + "}\n" + one("") }
	const want = "expected name=value, an argument of the main job"
	for name, c := range map[string]struct{ text, arg, want string }{
		"no main job":       {one(""), "root=/", "the tree has no run section, so that there is no main job to give arguments to"},
		"a bare word":       {main(""), "Bob", want + ", as in root=/src"},
		"for one argument":  {main(", args: {name: Ann}"), "Bob", want + "; did you mean name=Bob?"},
		"for one of two":    {main(", args: {name: Ann, n: 1}"), "Bob", want + "; in the file are name, n"},
		"no name":           {main(", args: {name: Ann}"), "=Bob", want + "; in the file are name"},
		"a hole in a path":  {main(", args: {}"), "a..b=c", want + ", as in root=/src"},
		"below a text":      {main(", args: {name: Ann}"), "name.x=1", `run.args.name: expected a mapping to set "x" in, there is "Ann"`},
		"into a list":       {main(", args: {actors: [{name: x}]}"), "actors.x=1", "run.args.actors: a list is set as a whole, as in run.args.actors=[x, y]"},
		"no value for JSON": {main(""), "n=[.inf]", `run.args.n[0]: expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got ".inf"`},
	} {
		t.Run(name, func(t *testing.T) {
			problems(t, c.text, read.Options{Args: []string{c.arg}}, c.arg+": "+c.want)
		})
	}
}

// A problem is one line, and tells a terminal nothing, whatever a value is.
func TestProblemsEscapeControlCharacters(t *testing.T) {
	problems(t, one(""), read.Options{Set: []string{"actors.a.grace=\x1b[2J\n", "\x07=1"}},
		`--set actors.a.grace=\u001b[2J\n: actors.a.grace: expected a duration above zero such as 500ms, 5s or 1m30s, got "\x1b[2J\n"`+
			"\n"+`--set \u0007=1: \u0007: unknown key; the keys here are name, run, actors, supervision, telemetry, fleet`)
}
