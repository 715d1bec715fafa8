package config_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/host/config"
)

// one is a file with one actor, whose further keys are given.
func one(keys string) string {
	return "actors:\n  - name: a\n    command: [x]\n" + keys
}

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"N": "4", "ROOT": "/src", "EMPTY": "", "TEXT": "yes"}[name]
	return value, ok
}

func parse(text string, o config.Options) (*config.Tree, error) {
	o.Lookup = lookup
	return config.Parse("f.yaml", []byte(text), o)
}

func TestEveryKeyIsRead(t *testing.T) {
	got, err := parse(`
name: all
run: {actor: a, endpoint: e, args: {n: 1, list: [x, y], root: "${ROOT}/sub"}}
actors:
  - name: a
    package: ./p
    dir: /tmp
    env: {K: "$$5", E: "${EMPTY:-default}"}
    replicas: ${N}
    sha256: `+strings.Repeat("ab", 32)+`
    start_timeout: 10s
    cancel_timeout: 100ms
    grace: 1m30s
    restart: temporary
    depends_on: {b: started}
    actors:
      - {name: c, command: [./c, -x]}
  - {name: b, command: ["${ROOT}/b"]}
`, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Tree{
		Name: "all",
		Run:  &config.Run{Actor: "a", Endpoint: "e", Args: map[string]any{"n": 1, "list": []any{"x", "y"}, "root": "/src/sub"}},
		Actors: []config.Actor{{
			Name: "a", Package: "./p", Dir: "/tmp", Env: map[string]string{"K": "$5", "E": "default"}, Replicas: 4,
			SHA256: strings.Repeat("ab", 32), StartTimeout: config.Duration(10 * time.Second),
			CancelTimeout: config.Duration(100 * time.Millisecond), Grace: config.Duration(90 * time.Second),
			Restart: config.Temporary, DependsOn: map[string]config.Condition{"b": config.Started},
			Actors: []config.Actor{{Name: "c", Command: []string{"./c", "-x"}}},
		}, {Name: "b", Command: []string{"/src/b"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblems(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"empty file":       {"", "f.yaml: expected a tree of actors, the file is empty; see the README for a first one"},
		"no UTF-8":         {"name: \xff", "f.yaml: expected UTF-8 text; this is no text, or in another encoding"},
		"a list":           {"- a", "f.yaml:1:1: expected a mapping with the keys name, run and actors, got a list"},
		"two documents":    {one("---\nname: b\n"), "f.yaml:4:1: expected one YAML document, there are more; remove the lines from --- on"},
		"no actors":        {"name: x", "f.yaml:1:1: actors: expected at least one actor, there is none"},
		"unknown key":      {one("    replica: 2\n"), `f.yaml:4:5: actors.a.replica: unknown key; did you mean "replicas"?`},
		"wrong type":       {one("    replicas: many\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number, got "many"`},
		"a list of text":   {one("    env: [a]\n"), "f.yaml:4:10: actors.a.env: expected a mapping, got a list"},
		"none":             {one("    dir:\n"), "f.yaml:4:9: actors.a.dir: expected a text, got nothing"},
		"no replicas":      {one("    replicas: 0\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number from 1 to 1000, got "0"`},
		"a bare number":    {one("    grace: 5\n"), `f.yaml:4:12: actors.a.grace: expected a duration above zero such as 500ms, 5s or 1m30s, got "5"`},
		"bad sum":          {one("    sha256: abc\n"), `f.yaml:4:13: actors.a.sha256: expected 64 hex digits, as sha256sum prints them, got "abc"`},
		"restart":          {one("    restart: always\n"), `f.yaml:4:14: actors.a.restart: expected temporary, the only kind that this version has, got "always"`},
		"duplicate key":    {one("    dir: x\n    dir: y\n"), "f.yaml:5:5: actors[].dir: this key stands here twice; keep one of them"},
		"duplicate name":   {one("  - {name: a, command: [y]}\n"), "f.yaml:4:12: actors.a: an actor beside it has the same name (line 2); rename one, or use replicas"},
		"bad name":         {"actors:\n  - {name: A b, command: [x]}\n", `f.yaml:2:12: actors.A b: expected a name of 1 to 63 letters a-z, digits, - and _, got "A b"`},
		"no name":          {"actors:\n  - {command: [x]}\n", "f.yaml:2:5: actors[0]: expected a name, there is none"},
		"no program":       {"actors:\n  - name: a\n", "f.yaml:2:5: actors.a: expected package (a Go package to build) or command (a program to start), there is neither"},
		"two programs":     {one("    package: ./p\n"), "f.yaml:2:5: actors.a: expected either package or command, there are both"},
		"empty command":    {"actors:\n  - {name: a, command: []}\n", "f.yaml:2:24: actors.a.command: expected a program and its arguments, it is empty"},
		"missing variable": {one("    dir: ${NOPE}/x\n"), "f.yaml:4:10: actors[].dir: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}"},
		"demanded":         {one("    dir: ${EMPTY:?name a folder}\n"), "f.yaml:4:10: actors[].dir: variable EMPTY is not set: name a folder"},
		"unterminated":     {one("    dir: a${ROOT\n"), "f.yaml:4:10: actors[].dir: ${ without its }; write $$ for a dollar sign"},
		"unknown sibling":  {one("    depends_on: {b: started}\n"), `f.yaml:4:21: actors.a.depends_on: expected actors beside this one (a), got "b"`},
		"condition":        {one("    depends_on: {b: healthy}\n  - {name: b, command: [x]}\n"), `f.yaml:4:21: actors.a.depends_on.b: expected the condition started, got "healthy"`},
		"depends on self":  {one("    depends_on: {a: started}\n"), "f.yaml:2:11: actors: depends_on is circular: a → a; remove one of these"},
		"cycle": {
			one("    depends_on: {b: started}\n  - {name: b, command: [x], depends_on: {c: started}}\n  - {name: c, command: [x], depends_on: {a: started}}\n"),
			"f.yaml:2:11: actors: depends_on is circular: a → b → c → a; remove one of these",
		},
		"main job of nobody": {"run: {actor: b, endpoint: e}\n" + one(""), `f.yaml:1:14: run.actor: expected one of the tree's own actors (a), got "b"`},
		"no endpoint":        {"run: {actor: a}\n" + one(""), "f.yaml:1:6: run.endpoint: expected the name of an endpoint, there is none"},
		"all at once": {
			"nam: x\nactors:\n  - {name: a, replicas: x}\n",
			"f.yaml:1:1: nam: unknown key; did you mean \"name\"?\n" +
				"f.yaml:3:5: actors.a: expected package (a Go package to build) or command (a program to start), there is neither\n" +
				`f.yaml:3:25: actors.a.replicas: expected a whole number, got "x"`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tree, err := parse(c.text, config.Options{})
			if _, ok := errors.AsType[*config.Error](err); !ok || tree != nil {
				t.Fatalf("got %v, %v", tree, err)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	_, err := parse("name: x\nactors: [\n", config.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "f.yaml:") || !strings.Contains(err.Error(), "this is no YAML") {
		t.Errorf("got %v", err)
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	got, err := parse(`
actors:
  - &base {name: a, command: [x], env: {K: v}, grace: 1s}
  - {<<: *base, name: b, grace: 2s}
`, config.Options{Set: []string{"actors.b.env.K=w"}})
	if err != nil {
		t.Fatal(err)
	}
	b := got.Actors[1]
	if b.Name != "b" || b.Grace.String() != "2s" || b.Command[0] != "x" {
		t.Errorf("got %+v", b)
	}
}

func TestExplodingAndCyclicAliasesAreProblems(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += strings.NewReplacer("C", string(c), "P", string(c-1)).Replace("C: &C [*P,*P,*P,*P,*P,*P,*P,*P,*P]\n")
	}
	for name, text := range map[string]string{"bomb": bomb, "cycle": "actors: &a [*a]\n"} {
		if _, err := parse(text, config.Options{}); err == nil {
			t.Errorf("%s: no problem", name)
		}
	}
}

func TestOverrides(t *testing.T) {
	text := "run: {actor: a, endpoint: e}\n" + one("    actors: [{name: c, command: [x]}]\n")
	got, err := parse(text, config.Options{
		Set:  []string{"actors.a.actors.c.replicas=3", "name=tree", "actors.a.env.A=b=c", "actors.a.command=[y, -z]"},
		Args: []string{"root=/x", "at=@x", "n=5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := got.Actors[0]
	if got.Name != "tree" || a.Actors[0].Replicas != 3 || a.Env["A"] != "b=c" || a.Command[1] != "-z" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]any{"root": "/x", "at": "@x", "n": 5}, got.Run.Args); diff != "" {
		t.Error(diff)
	}
}

func TestBadOverrides(t *testing.T) {
	for set, want := range map[string]string{
		"actors.b.dir=x":      `--set actors.b.dir=x: actors: no actor "b" here; there are a`,
		"nothing":             "--set nothing: expected path=value, as in actors.parser.replicas=2",
		"actors.a.replicas=x": `--set actors.a.replicas=x: actors.a.replicas: expected a whole number, got "x"`,
		"actors.a.name.x=1":   `--set actors.a.name.x=1: actors.a.name: expected a mapping to set "x" in, there is "a"`,
	} {
		if _, err := parse(one(""), config.Options{Set: []string{set}}); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	_, err := parse(one(""), config.Options{Args: []string{"root=/"}})
	if want := "root=/: the tree has no run section, so that there is no main job to give arguments to"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestActorSurvivesJSON(t *testing.T) {
	text := rapid.StringMatching(`[a-z]{1,5}`)
	var actor func(depth int) *rapid.Generator[config.Actor]
	actor = func(depth int) *rapid.Generator[config.Actor] {
		return rapid.Custom(func(r *rapid.T) config.Actor {
			a := config.Actor{
				Name: text.Draw(r, "name"), Command: rapid.SliceOfN(text, 1, 3).Draw(r, "command"),
				Replicas: rapid.IntRange(0, 9).Draw(r, "replicas"), Grace: config.Duration(rapid.Int64Range(0, 1e12).Draw(r, "grace")),
				Env: rapid.MapOfN(text, rapid.String(), 1, 3).Draw(r, "env"),
			}
			if depth > 0 {
				a.Actors = rapid.SliceOfN(actor(depth-1), 1, 2).Draw(r, "actors")
			}
			return a
		})
	}
	rapid.Check(t, func(r *rapid.T) {
		want := actor(2).Draw(r, "actor")
		text, err := json.Marshal(want)
		if err != nil {
			r.Fatal(err)
		}
		var got config.Actor
		if err := json.Unmarshal(text, &got); err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Error(diff)
		}
	})
}

func TestLevels(t *testing.T) {
	on := func(names ...string) map[string]config.Condition {
		m := map[string]config.Condition{}
		for _, n := range names {
			m[n] = config.Started
		}
		return m
	}
	levels, err := config.Levels([]config.Actor{
		{Name: "d", DependsOn: on("b", "c")}, {Name: "b", DependsOn: on("a")}, {Name: "c"}, {Name: "a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, level := range levels {
		var names []string
		for _, a := range level {
			names = append(names, a.Name)
		}
		got = append(got, strings.Join(names, " "))
	}
	if diff := cmp.Diff([]string{"c a", "b", "d"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := config.Levels([]config.Actor{{Name: "a", DependsOn: on("x")}}); err == nil {
		t.Error("an unknown dependency is no error")
	}
	if _, err := config.Levels([]config.Actor{{Name: "a", DependsOn: on("b")}, {Name: "b", DependsOn: on("a")}}); err == nil {
		t.Error("a cycle is no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(one("    replicas: ${N}\n"), "actors.a.dir=x")
	f.Add("a: &a [*a, *a]\n<<: *a\n", "x.y.z=[1, {a: b}]")
	f.Add("run: {actor: a}\nactors: [{name: a, depends_on: {a: started}}]", "run.args.x=${ROOT}")
	f.Add("actors: !!binary x\n? [1]\n: 2", "=")
	f.Fuzz(func(t *testing.T, text, set string) {
		tree, err := parse(text, config.Options{Set: []string{set}})
		if _, ok := errors.AsType[*config.Error](err); err != nil && !ok {
			t.Errorf("%T %v", err, err)
		}
		if (tree == nil) != (err != nil) {
			t.Errorf("%v, %v", tree, err)
		}
	})
}
