package read_test

import (
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host/config/read"
)

// refused is a table of files and all that is said about them.
type refused map[string]struct{ text, want string }

func (r refused) check(t *testing.T) {
	t.Helper()
	for name, c := range r {
		t.Run(name, func(t *testing.T) {
			problems(t, c.text, read.Options{}, c.want)
		})
	}
}

const allKeys = "name, package, command, dir, env, replicas, standby, sha256, start_timeout, cancel_timeout, grace, " +
	"term_timeout, restart, backoff, limits, health, debug, stuck, streams, while_down, depends_on, on, callers, goplugin, mcp, actors, supervision"

func TestFilesThatAreNoTree(t *testing.T) {
	refused{
		"empty":           {"", "f.yaml: expected a tree of actors, the file is empty; see the README for a first one"},
		"only a comment":  {"# x\n", "f.yaml: expected a tree of actors, the file is empty; see the README for a first one"},
		"only a marker":   {"---\n", "f.yaml:2:1: expected a mapping with the keys name, run and actors, got nothing"},
		"no UTF-8":        {"name: \xff", "f.yaml: expected UTF-8 text; this is not text, or in another encoding"},
		"UTF-16":          {"\xff\xfea\x00", "f.yaml: expected UTF-8 text; this is not text, or in another encoding"},
		"a list":          {"- a", "f.yaml:1:1: expected a mapping with the keys name, run and actors, got a list"},
		"a text":          {"\n  a", `f.yaml:2:3: expected a mapping with the keys name, run and actors, got "a"`},
		"two documents":   {one("---\nname: b\n"), "f.yaml:4:1: expected one YAML document, there are more; remove the lines from --- on"},
		"empty second":    {one("---\n"), "f.yaml:4:1: expected one YAML document, there are more; remove the lines from --- on"},
		"no actors":       {"name: x", "f.yaml:1:1: actors: expected at least one actor, there is none"},
		"an empty tree":   {"{}", "f.yaml:1:1: actors: expected at least one actor, there is none"},
		"an empty list":   {"actors: []", "f.yaml:1:9: actors: expected at least one actor, there is none"},
		"actors: nothing": {"actors:\n", "f.yaml:1:8: actors: expected a list, got nothing"},
	}.check(t)
}

func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	refused{
		"in the first line":       {"actors: ]\n", "f.yaml:1:1: this is not valid YAML: did not find expected node content"},
		"in the second line":      {"name: x\nactors: ]\nrun:\n", "f.yaml:2:1: this is not valid YAML: did not find expected node content"},
		"at the end":              {"name: x\nactors: [\n\n", "f.yaml:2:1: this is not valid YAML: did not find expected node content"},
		"a colon too many":        {"\n\n\na: b: c\n", "f.yaml:4:1: this is not valid YAML: mapping values are not allowed in this context"},
		"an open quote":           {"name: x\na: 'x\n\n", "f.yaml:2:1: this is not valid YAML: found unexpected end of stream; is a quote not closed?"},
		"a tab":                   {"actors:\n\t- b\n", "f.yaml:2:1: this is not valid YAML: a line is indented with a tab; use spaces"},
		"a list that stops":       {"\n\n- a\n-b: c\n  d\n", "f.yaml:3:1: this is not valid YAML: did not find expected '-' indicator"},
		"behind the document":     {"{a: b} x", "f.yaml:1:1: this is not valid YAML: did not find expected <document start>"},
		"in the second document":  {"a: b\n---\nb: [\n", "f.yaml:3:1: this is not valid YAML: did not find expected node content"},
		"an anchor that is none":  {"a: b\nc: *x\n", "f.yaml: this is not valid YAML: unknown anchor 'x' referenced"},
		"a character that is bad": {"a: b\nc: \x01\n", "f.yaml: this is not valid YAML: control characters are not allowed"},
	}.check(t)
}

func TestUnknownKeysHaveAHint(t *testing.T) {
	refused{
		"at the top":     {"nam: x\n" + one(""), `f.yaml:1:1: nam: unknown key; did you mean "name"?`},
		"of an actor":    {one("    replica: 2\n"), `f.yaml:4:5: actors.a.replica: unknown key; did you mean "replicas"?`},
		"two letters":    {one("    grcae: 2s\n"), `f.yaml:4:5: actors.a.grcae: unknown key; did you mean "grace"?`},
		"nothing near":   {one("    deamon: true\n"), "f.yaml:4:5: actors.a.deamon: unknown key; the keys here are " + allKeys},
		"of the main":    {"run: {actor: a, endpoint: e, x: 1}\n" + one(""), "f.yaml:1:30: run.x: unknown key; the keys here are actor, endpoint, args"},
		"without a name": {"actors: [{command: [x], nam: a}]", "f.yaml:1:10: actors[0].name: expected a name, there is none\nf.yaml:1:25: actors[0].nam: unknown key; did you mean \"name\"?"},
		"in capitals":    {one("    Dir: x\n"), `f.yaml:4:5: actors.a.Dir: unknown key; did you mean "dir"?`},
		"no plain key":   {"? [a]\n: b\n" + one(""), "f.yaml:1:3: expected a plain key, got a list"},
	}.check(t)
}

// What is of another kind is reported once: what follows from it is not.
func TestValuesOfAnotherKind(t *testing.T) {
	refused{
		"text for a number":     {one("    replicas: many\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got "many"`},
		"quoted number":         {one("    replicas: \"2\"\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits and without quotes, got "2"`},
		"fraction":              {one("    replicas: 1.5\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got "1.5"`},
		"number beyond int":     {one("    replicas: 9223372036854775808\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got "9223372036854775808"`},
		"list for a number":     {one("    replicas: [1]\n"), "f.yaml:4:15: actors.a.replicas: expected a whole number in decimal digits, got a list"},
		"list for a mapping":    {one("    env: [a]\n"), "f.yaml:4:10: actors.a.env: expected a mapping such as {a: b}, got a list"},
		"nothing for a text":    {one("    dir:\n"), "f.yaml:4:9: actors.a.dir: expected a text, got nothing"},
		"mapping for a text":    {one("    dir: {a: b}\n"), "f.yaml:4:10: actors.a.dir: expected a text, got a mapping"},
		"list in a mapping":     {one("    env: {K: [v]}\n"), "f.yaml:4:14: actors.a.env.K: expected a text, got a list"},
		"list for a sum":        {one("    sha256: [a]\n"), "f.yaml:4:13: actors.a.sha256: expected a text, got a list"},
		"list for a duration":   {one("    grace: [1s]\n"), "f.yaml:4:12: actors.a.grace: expected a duration above zero such as 500ms, 5s or 1m30s, got a list"},
		"list for a condition":  {one("    depends_on: {b: [x]}\n  - {name: b, command: [x]}\n"), "f.yaml:4:21: actors.a.depends_on.b: expected a text, got a list"},
		"list of dependencies":  {one("    depends_on: [a]\n"), "f.yaml:4:17: actors.a.depends_on: expected a mapping such as {a: b}, got a list"},
		"text for children":     {one("    actors: b\n"), `f.yaml:4:13: actors.a.actors: expected a list, got "b"`},
		"text for a command":    {"actors: [{name: a, command: x}]", `f.yaml:1:29: actors.a.command: expected a list such as [a, b], got "x"`},
		"list in a command":     {"actors: [{name: a, command: [[x]]}]", "f.yaml:1:30: actors.a.command[0]: expected a text, got a list"},
		"list for a package":    {"actors: [{name: a, package: [x]}]", "f.yaml:1:29: actors.a.package: expected a text, got a list"},
		"list for a name":       {"actors: [{name: [a], command: [x]}]", "f.yaml:1:17: actors[0].name: expected a text, got a list"},
		"text for an actor":     {"actors: [a]", `f.yaml:1:10: actors[0]: expected a mapping with the keys ` + allKeys + `, got "a"`},
		"mapping for actors":    {"actors: {a: {command: [x]}}", "f.yaml:1:9: actors: expected a list, got a mapping"},
		"text for the main job": {"run: a\n" + one(""), `f.yaml:1:6: run: expected a mapping with the keys actor, endpoint, args, got "a"`},
		"nothing for it":        {"run:\n" + one(""), "f.yaml:1:5: run: expected a mapping with the keys actor, endpoint, args, got nothing"},
		"lists in the main job": {
			"run: {actor: [a], endpoint: [e], args: [1]}\n" + one(""),
			"f.yaml:1:14: run.actor: expected a text, got a list\nf.yaml:1:29: run.endpoint: expected a text, got a list",
		},
		"arguments beyond JSON": {
			"run: {actor: a, endpoint: e, args: {n: .nan, l: [{name: x, i: -.inf}]}}\n" + one(""),
			"f.yaml:1:40: run.args.n: expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got \".nan\"\n" +
				"f.yaml:1:63: run.args.l.x.i: expected a number as JSON has it, in decimal digits without zeros in front, or a text in quotes, got \"-.inf\"",
		},
	}.check(t)
}

func TestValuesOutOfRange(t *testing.T) {
	const replicas, duration = "expected a whole number from 1 to 1000, got ", "expected a duration above zero such as 500ms, 5s or 1m30s, got "
	const sum = "expected 64 hex digits, as sha256sum prints them, got "
	digits := strings.Repeat("ab", 31)
	refused{
		"no replicas":       {one("    replicas: 0\n"), `f.yaml:4:15: actors.a.replicas: expected a number above zero, got "0"; to set none, leave the key out`},
		"fewer than none":   {one("    replicas: -1\n"), `f.yaml:4:15: actors.a.replicas: expected a whole number above zero, got -1`},
		"too many":          {one("    replicas: 1001\n"), `f.yaml:4:15: actors.a.replicas: ` + replicas + `1001`},
		"a bare number":     {one("    grace: 5\n"), `f.yaml:4:12: actors.a.grace: ` + duration + `"5"`},
		"no time":           {one("    cancel_timeout: 0s\n"), `f.yaml:4:21: actors.a.cancel_timeout: ` + duration + `"0s"`},
		"time running back": {one("    start_timeout: -1s\n"), `f.yaml:4:20: actors.a.start_timeout: ` + duration + `"-1s"`},
		"an unknown unit":   {one("    grace: 1d\n"), `f.yaml:4:12: actors.a.grace: ` + duration + `"1d"`},
		"nothing":           {one("    grace: ~\n"), `f.yaml:4:12: actors.a.grace: ` + duration + `nothing`},
		"beyond 292 years":  {one("    grace: 9999999h\n"), `f.yaml:4:12: actors.a.grace: ` + duration + `"9999999h"`},
		"short sum":         {one("    sha256: " + digits + "\n"), `f.yaml:4:13: actors.a.sha256: ` + sum + `"` + digits + `"`},
		"long sum":          {one("    sha256: " + digits + "ababab\n"), `f.yaml:4:13: actors.a.sha256: ` + sum + `"` + digits + `ababab"`},
		"no hex":            {one("    sha256: " + digits + "xy\n"), `f.yaml:4:13: actors.a.sha256: ` + sum + `"` + digits + `xy"`},
		"an empty sum":      {one("    sha256: ${EMPTY}\n"), `f.yaml:4:13: actors.a.sha256: expected a text, it is empty`},
		"restart":           {one("    restart: always\n"), `f.yaml:4:14: actors.a.restart: expected temporary, transient or permanent, got "always"; did you mean "permanent"?`},
		"an empty restart":  {one("    restart: ''\n"), `f.yaml:4:14: actors.a.restart: expected a text, it is empty`},
	}.check(t)
}

func TestNames(t *testing.T) {
	const form = "expected a name of 1 to 63 letters a-z, digits, - and _, got "
	long := strings.Repeat("x", 64)
	refused{
		"capitals and blanks": {"actors:\n  - {name: A b, command: [x]}\n", `f.yaml:2:12: actors.A b.name: ` + form + `"A b"`},
		"an empty one":        {"actors:\n  - {name: '', command: [x]}\n", `f.yaml:2:12: actors[0].name: expected a text, it is empty`},
		"64 letters":          {"actors:\n  - {name: " + long + ", command: [x]}\n", `f.yaml:2:12: actors.` + long + `.name: ` + form + `"` + long + `"`},
		"a path":              {"actors:\n  - {name: a/b, command: [x]}\n", `f.yaml:2:12: actors.a/b.name: ` + form + `"a/b"`},
		"a dot":               {"actors:\n  - {name: a.b, command: [x]}\n", `f.yaml:2:12: actors.a.b.name: ` + form + `"a.b"`},
		"a dash in front":     {"actors:\n  - {name: -a, command: [x]}\n", `f.yaml:2:12: actors.-a.name: ` + form + `"-a"`},
		"a line break":        {"actors:\n  - {name: \"a\\n\", command: [x]}\n", `f.yaml:2:12: actors.a\n.name: ` + form + `"a\n"`},
		"none":                {"actors:\n  - {command: [x]}\n", "f.yaml:2:5: actors[0].name: expected a name, there is none"},
		"the same twice":      {one("  - {name: a, command: [y]}\n"), "f.yaml:4:12: actors.a.name: an actor beside it has the same name; rename one, or use replicas"},
		"the same below": {
			one("    actors:\n      - {name: a, command: [y]}\n      - {name: a, command: [y]}\n"),
			"f.yaml:6:16: actors.a.actors.a.name: an actor beside it has the same name; rename one, or use replicas",
		},
	}.check(t)
}

func TestNamesThatAreFine(t *testing.T) {
	longest := strings.Repeat("x", 63)
	tree := valid(t, "actors: [{name: "+longest+", command: [x]}, {name: 0_-, command: [x], actors: [{name: 0_-, command: [x]}]}]", read.Options{})
	if tree.Actors[0].Name != longest || tree.Actors[1].Actors[0].Name != "0_-" {
		t.Errorf("got %+v", tree)
	}
}

func TestPrograms(t *testing.T) {
	refused{
		"neither":          {"actors:\n  - name: a\n", "f.yaml:2:5: actors.a: expected package (a Go package to build) or command (a program to start), there is neither"},
		"both":             {one("    package: ./p\n"), "f.yaml:2:5: actors.a: expected either package or command, there are both"},
		"an empty command": {"actors:\n  - {name: a, command: []}\n", "f.yaml:2:5: actors.a: expected package (a Go package to build) or command (a program to start), there is neither"},
		"an empty program": {"actors:\n  - {name: a, command: ['', -x]}\n", "f.yaml:2:25: actors.a.command[0]: expected a program, it is empty"},
		"an empty package": {"actors:\n  - {name: a, package: ''}\n", "f.yaml:2:24: actors.a.package: expected a text, it is empty"},
		"duplicate keys":   {one("    dir: x\n    dir: y\n    dir: z\n"), "f.yaml:5:5: actors.a.dir: this key stands here twice; keep one of them\nf.yaml:6:5: actors.a.dir: this key stands here twice; keep one of them"},
		"at the top":       {"name: a\n" + one("name: b\n"), "f.yaml:5:1: name: this key stands here twice; keep one of them"},
		"in a mapping":     {one("    env: {K: v, \"K\": w}\n"), "f.yaml:4:17: actors.a.env.K: this key stands here twice; keep one of them"},
	}.check(t)
}

func TestDependencies(t *testing.T) {
	on := func(pairs string) string { return one("    depends_on: {" + pairs + "}\n") }
	b := func(on string) string { return "  - {name: b, command: [x], depends_on: {" + on + ": started}}\n" }
	refused{
		"unknown":     {on("b: started"), `f.yaml:4:21: actors.a.depends_on.b: expected actors beside this one (there are none), got "b"`},
		"a child":     {on("c: started") + "    actors: [{name: c, command: [x]}]\n", `f.yaml:4:21: actors.a.depends_on.c: expected actors beside this one (there are none), got "c"`},
		"the parent":  {one("    actors: [{name: c, command: [x], depends_on: {a: started}}]\n"), `f.yaml:4:54: actors.a.actors.c.depends_on.a: expected actors beside this one (there are none), got "a"`},
		"condition":   {on("b: ready") + "  - {name: b, command: [x]}\n", `f.yaml:4:21: actors.a.depends_on.b: expected started or healthy, got "ready"`},
		"itself":      {on("a: started"), "f.yaml:4:21: actors.a.depends_on.a: depends_on is circular: a → a; remove one of these"},
		"two members": {on("b: started") + b("a"), "f.yaml:4:21: actors.a.depends_on.b: depends_on is circular: a → b → a; remove one of these"},
		"three members": {
			on("b: started") + b("c") + "  - {name: c, command: [x], depends_on: {a: started}}\n",
			"f.yaml:4:21: actors.a.depends_on.b: depends_on is circular: a → b → c → a; remove one of these",
		},
		"behind a way in": {
			on("b: started") + b("c") + "  - {name: c, command: [x], depends_on: {b: started}}\n",
			"f.yaml:5:45: actors.b.depends_on.c: depends_on is circular: b → c → b; remove one of these",
		},
		"below": {
			one("    actors: [{name: c, command: [x], depends_on: {c: started}}]\n"),
			"f.yaml:4:54: actors.a.actors.c.depends_on.c: depends_on is circular: c → c; remove one of these",
		},
		"of a bad name": {
			"actors: [{name: A, command: [x], depends_on: {A: started}}]",
			`f.yaml:1:17: actors.A.name: expected a name of 1 to 63 letters a-z, digits, - and _, got "A"` +
				"\nf.yaml:1:50: actors.A.depends_on.A: depends_on is circular: A → A; remove one of these",
		},
	}.check(t)
}

func TestMainJob(t *testing.T) {
	refused{
		"of nobody":   {"run: {actor: b, endpoint: e}\n" + one(""), `f.yaml:1:14: run.actor: expected one of the tree's own actors (a), got "b"`},
		"of no actor": {"run: {endpoint: e}\n" + one(""), `f.yaml:1:6: run.actor: expected one of the tree's own actors (a), there is none`},
		"of a child": {
			"run: {actor: c, endpoint: e}\n" + one("    actors: [{name: c, command: [x]}]\n"),
			`f.yaml:1:14: run.actor: expected one of the tree's own actors (a), got "c"`,
		},
		"no endpoint":       {"run: {actor: a}\n" + one(""), "f.yaml:1:6: run.endpoint: expected the name of an endpoint, there is none"},
		"an empty endpoint": {"run: {actor: a, endpoint: ''}\n" + one(""), "f.yaml:1:27: run.endpoint: expected a text, it is empty"},
	}.check(t)
}

func TestAllProblemsAtOnceInTheOrderOfTheFile(t *testing.T) {
	problems(t, `nam: x
actors:
  - {name: a, replicas: x}
  - name: b
    command: [x]
    dir: ${NOPE}
    dir: y
    depends_on: {c: started}
run: {actor: z, endpoint: e}
`, read.Options{Set: []string{"bad", "actors.c.dir=x"}}, strings.Join([]string{
		`--set bad: expected path=value, as in actors.parser.replicas=2`,
		`--set actors.c.dir=x: actors: no actor "c" here; there are a, b`,
		`f.yaml:1:1: nam: unknown key; did you mean "name"?`,
		`f.yaml:3:5: actors.a: expected package (a Go package to build) or command (a program to start), there is neither`,
		`f.yaml:3:25: actors.a.replicas: expected a whole number in decimal digits, got "x"`,
		`f.yaml:6:10: actors.b.dir: variable NOPE is not set; set it, or give a default as in ${NOPE:-default}`,
		`f.yaml:7:5: actors.b.dir: this key stands here twice; keep one of them`,
		`f.yaml:8:21: actors.b.depends_on.c: expected actors beside this one (a), got "c"`,
		`f.yaml:9:14: run.actor: expected one of the tree's own actors (a, b), got "z"`,
	}, "\n"))
}

func TestRegistries(t *testing.T) {
	refused{
		"no driver":            {"name: x\nfleet: {registry: {ttl: 5s}}\n" + one(""), "f.yaml:2:19: fleet.registry.driver: expected the name of a driver, such as etcd"},
		"an address of nobody": {"name: x\nfleet: {credentials: c, listen: \"0.0.0.0:7077\", registry: {driver: etcd}}\n" + one(""), `f.yaml:2:8: fleet.advertise: expected the address at which other machines reach this one, such as 10.0.0.1:7077: nobody can connect to "0.0.0.0"`},
		"no port":              {"fleet: {credentials: c, listen: \"0.0.0.0:7077\", advertise: a}\n" + one(""), `f.yaml:1:60: fleet.advertise: expected an address with a port, such as 10.0.0.1:7077, got "a"`},
		"no name":              {"fleet: {registry: {driver: etcd}}\n" + one(""), "f.yaml:1:1: name: expected a name, which the root of the tree holds in the registry (fleet.registry)"},
		"a short lease":        {"name: x\nfleet: {registry: {driver: etcd, ttl: 1s}}\n" + one(""), "f.yaml:2:39: fleet.registry.ttl: expected at least 2s, as etcd grants no shorter lease, got 1s"},
		"an unknown loss":      {"name: x\nfleet: {on_registry_loss: restart}\n" + one(""), `f.yaml:2:27: fleet.on_registry_loss: expected stop or keep, got "restart"`},
	}.check(t)
}

func TestAgentsThatAreStarted(t *testing.T) {
	fleet := func(agents string) string {
		return "fleet: {credentials: c, listen: \"10.0.0.1:7077\", agents: [" + agents + "]}\n" + one("")
	}
	refused{
		"no command":       {fleet("{name: b}"), "f.yaml:1:59: fleet.agents.b.launch: expected the command that starts the agent, there is none"},
		"no program":       {fleet("{name: b, launch: [\"\"]}"), "f.yaml:1:78: fleet.agents.b.launch[0]: expected a program, it is empty"},
		"no name":          {fleet("{launch: [x]}"), `f.yaml:1:59: fleet.agents[0].name: expected the name of an agent, 1 to 63 letters a-z, digits, - and _, got ""`},
		"one name twice":   {fleet("{name: b, launch: [x]}, {name: b, launch: [x]}"), "f.yaml:1:90: fleet.agents.b.name: another agent has the same name"},
		"an unknown field": {fleet("{name: b, launch: [x, \"{{.Where}}\"]}"), `f.yaml:1:81: fleet.agents.b.launch[1]: expected a template with .Address, .Tree and .Name, got "{{.Where}}": template: :1:2: executing "" at <.Where>: can't evaluate field Where in type struct { Address string; Tree string; Name string }`},
		"no template":      {fleet("{name: b, launch: [x, \"{{\"]}"), `f.yaml:1:81: fleet.agents.b.launch[1]: expected a template with .Address, .Tree and .Name, got "{{": template: :1: unclosed action`},
		"nowhere to join":  {"fleet: {credentials: c, agents: [{name: b, launch: [x]}]}\n" + one(""), "f.yaml:1:8: fleet.listen: expected the address at which the agents join (fleet.agents), there is none"},
		"at no address":    {"fleet: {credentials: c, listen: \":7077\", advertise: \"0.0.0.0:7077\", agents: [{name: b, launch: [x]}]}\n" + one(""), `f.yaml:1:53: fleet.advertise: expected the address at which other machines reach this one, such as 10.0.0.1:7077: nobody can connect to "0.0.0.0"`},
		"too many":         {fleet(strings.Repeat("{name: b, launch: [x]}, ", 1025)), "f.yaml:1:58: fleet.agents: expected at most 1024 agents, got 1025"},
	}.check(t)
}
