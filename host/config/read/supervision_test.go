package read_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// team is a file with two actors, a that is restarted and b, and a supervision.
func team(supervision string) string {
	return "supervision: {" + supervision + "}\nactors:\n  - {name: a, command: [x], restart: transient}\n  - {name: b, command: [x]}\n"
}

func TestEverySupervisionKeyIsRead(t *testing.T) {
	tree := valid(t, `
supervision: {strategy: rest_for_one, max_restarts: 5, window: 1m}
actors:
  - name: a
    command: [x]
    restart: permanent
    backoff: {initial: 1s, max: 2s, reset: 3s}
    health: {interval: 4s, timeout: 3s, failures: 2, endpoint: check}
    while_down: fail
    term_timeout: 3s
    supervision: {strategy: one_for_all, window: 2s}
    actors: [{name: c, command: [x], restart: transient}]
  - {name: b, command: [x], health: {off: true}, depends_on: {a: healthy}}
`, read.Options{})
	seconds := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }
	want := &config.Tree{
		Supervision: config.Supervision{Strategy: config.RestForOne, MaxRestarts: 5, Window: seconds(60)},
		Actors: []config.Actor{{
			Name: "a", Command: []string{"x"}, Restart: config.Permanent, TermTimeout: seconds(3), WhileDown: config.FailWhileDown,
			Backoff:     config.Backoff{Initial: seconds(1), Max: seconds(2), Reset: seconds(3)},
			Health:      config.Health{Interval: seconds(4), Timeout: seconds(3), Failures: 2, Endpoint: "check"},
			Supervision: config.Supervision{Strategy: config.OneForAll, Window: seconds(2)},
			Actors:      []config.Actor{{Name: "c", Command: []string{"x"}, Restart: config.Transient}},
		}, {
			Name: "b", Command: []string{"x"}, Health: config.Health{Off: true}, DependsOn: map[string]config.Condition{"a": config.Healthy},
		}},
	}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Error(diff)
	}
}

func TestSupervisionOutOfRange(t *testing.T) {
	const strategies = "expected one_cancels_all, one_for_one, one_for_all or rest_for_one, got "
	const duration = "expected a duration above zero such as 500ms, 5s or 1m30s, got "
	const aboveZero = "expected a number above zero, got "
	const orNever = "; to never restart an actor, give it restart: temporary"
	refused{
		"no strategy":       {team("strategy: all"), `f.yaml:1:25: supervision.strategy: ` + strategies + `"all"`},
		"a near strategy":   {team("strategy: One-For-One"), `f.yaml:1:25: supervision.strategy: ` + strategies + `"One-For-One"; did you mean "one_for_one"?`},
		"a list":            {team("strategy: [one_for_one]"), `f.yaml:1:25: supervision.strategy: expected a text, got a list`},
		"no restarts":       {team("max_restarts: 0"), `f.yaml:1:29: supervision.max_restarts: ` + aboveZero + `"0"` + orNever},
		"negative restarts": {team("max_restarts: -1"), `f.yaml:1:29: supervision.max_restarts: ` + `expected a whole number above zero, got -1`},
		"many restarts":     {team("max_restarts: many"), `f.yaml:1:29: supervision.max_restarts: expected a whole number in decimal digits, got "many"`},
		"no window":         {team("window: 0s"), `f.yaml:1:23: supervision.window: ` + duration + `"0s"`},
		"a bare window":     {team("window: 5"), `f.yaml:1:23: supervision.window: ` + duration + `"5"`},
		"an unknown key":    {team("strateg: x"), `f.yaml:1:15: supervision.strateg: unknown key; did you mean "strategy"?`},
		"no mapping":        {"supervision: one_for_one\n" + one(""), `f.yaml:1:14: supervision: expected a mapping with the keys strategy, max_restarts, window, got "one_for_one"`},
		"of an actor": {
			one("    supervision: {max_restarts: 0}\n    actors: [{name: c, command: [x]}]\n"),
			`f.yaml:4:33: actors.a.supervision.max_restarts: ` + aboveZero + `"0"` + orNever,
		},
	}.check(t)
}

const neverRestarted = "none of the actors here is ever restarted; give those restart: transient or permanent that are to be " +
	"(temporary is the default), or remove this"

func TestSupervisionOfNothing(t *testing.T) {
	const childless = "expected actors that this one supervises, it has none; supervision stands where the actors are listed"
	below := "    actors: [{name: c, command: [x]}]\n"
	refused{
		"without actors":         {one("    supervision: {window: 1s}\n"), "f.yaml:4:18: actors.a.supervision: " + childless},
		"with no actor":          {one("    supervision: {window: 1s}\n    actors: []\n"), "f.yaml:4:18: actors.a.supervision: " + childless},
		"with bad actors":        {one("    supervision: {window: 1s}\n    actors: c\n"), `f.yaml:5:13: actors.a.actors: expected a list, got "c"`},
		"of a tree without any":  {"supervision: {window: 1s}\n", "f.yaml:1:1: actors: expected at least one actor, there is none"},
		"one_for_all":            {"supervision: {strategy: one_for_all}\n" + one(""), "f.yaml:1:25: supervision.strategy: " + neverRestarted},
		"rest_for_one":           {"supervision: {strategy: rest_for_one}\n" + one(""), "f.yaml:1:25: supervision.strategy: " + neverRestarted},
		"a window":               {"supervision: {strategy: one_for_one, window: 1s}\n" + one(""), "f.yaml:1:46: supervision.window: " + neverRestarted},
		"restarts of a child":    {one("    supervision: {max_restarts: 2}\n    restart: permanent\n" + below), "f.yaml:4:33: actors.a.supervision.max_restarts: " + neverRestarted},
		"a restart of its own":   {"supervision: {window: 1s}\n" + one("    actors: [{name: c, command: [x], restart: permanent}]\n"), "f.yaml:1:23: supervision.window: " + neverRestarted},
		"off for one of two":     {"supervision: {max_restarts: 2}\nactors:\n  - {name: a, command: [x], restart: temporary}\n  - {name: b, command: [x]}\n", "f.yaml:1:29: supervision.max_restarts: " + neverRestarted},
		"behind a bad restart":   {"supervision: {window: 1s}\n" + one("    restart: sometimes\n"), `f.yaml:5:14: actors.a.restart: expected temporary, transient or permanent, got "sometimes"`},
		"behind a refused actor": {"supervision: {window: 1s}\nactors: [x]\n", "f.yaml:2:10: actors[0]: expected a mapping with the keys " + allKeys + `, got "x"`},
	}.check(t)
	for name, text := range map[string]string{
		"strategies that say what a failure means": "supervision: {strategy: one_for_one}\n" + one("    supervision: {strategy: one_cancels_all}\n"+below),
		"restarts that are switched off":           "supervision: {strategy: rest_for_one, window: 1s}\n" + one("    restart: temporary\n"),
		"off for two of two": "supervision: {max_restarts: 2}\nactors:\n  - {name: a, command: [x], restart: temporary}\n" +
			"  - {name: b, command: [x], restart: temporary}\n",
		"off for one, on for another": "supervision: {max_restarts: 2}\nactors:\n  - {name: a, command: [x], restart: temporary}\n" +
			"  - {name: b, command: [x], restart: permanent}\n",
		"one of two is restarted": team("strategy: one_for_all, window: 1s, max_restarts: 1"),
		"an empty one":            one("    supervision: {}\n"),
	} {
		t.Run(name, func(t *testing.T) { valid(t, text, read.Options{}) })
	}
}

func TestRestarts(t *testing.T) {
	const kinds = "expected temporary, transient or permanent, got "
	const never = "an actor with restart: temporary, the default, is never restarted; write restart: transient or permanent, or remove this"
	const permanent = "    restart: permanent\n"
	refused{
		"another word":         {one("    restart: always\n"), `f.yaml:4:14: actors.a.restart: ` + kinds + `"always"; did you mean "permanent"?`},
		"docker's":             {one("    restart: on-failure\n"), `f.yaml:4:14: actors.a.restart: ` + kinds + `"on-failure"; did you mean "transient"?`},
		"a truth":              {one("    restart: no\n"), `f.yaml:4:14: actors.a.restart: ` + kinds + `"no"; did you mean "temporary"?`},
		"a slip":               {one("    restart: transcient\n"), `f.yaml:4:14: actors.a.restart: ` + kinds + `"transcient"; did you mean "transient"?`},
		"nothing":              {one("    restart:\n"), `f.yaml:4:13: actors.a.restart: expected a text, got nothing`},
		"backoff for none":     {one("    backoff: {initial: 1s}\n"), "f.yaml:4:14: actors.a.backoff: " + never},
		"while_down for never": {one("    while_down: fail\n"), "f.yaml:4:17: actors.a.while_down: " + never},
		"behind a bad kind":    {one("    restart: x\n    backoff: {initial: 1s}\n    while_down: fail\n"), `f.yaml:4:14: actors.a.restart: ` + kinds + `"x"`},
		"while_down":           {one(permanent + "    while_down: fails\n"), `f.yaml:5:17: actors.a.while_down: expected wait or fail, got "fails"; did you mean "fail"?`},
		"a far while_down":     {one(permanent + "    while_down: queue\n"), `f.yaml:5:17: actors.a.while_down: expected wait or fail, got "queue"`},
		"initial and max":      {one(permanent + "    backoff: {initial: 2s, max: 1s}\n"), `f.yaml:5:24: actors.a.backoff.initial: expected at most max (1s), got 2s`},
		"initial alone":        {one(permanent + "    backoff: {initial: 20s}\n"), `f.yaml:5:24: actors.a.backoff.initial: expected at most max (10s, the default), got 20s`},
		"max alone":            {one(permanent + "    backoff: {max: 1ms}\n"), `f.yaml:5:20: actors.a.backoff.max: expected at least initial (100ms, the default), got 1ms`},
		"no initial":           {one(permanent + "    backoff: {initial: 0}\n"), `f.yaml:5:24: actors.a.backoff.initial: expected a duration above zero such as 500ms, 5s or 1m30s, got "0"`},
		"max is nothing":       {one(permanent + "    backoff: {initial: 20s, max: ~}\n"), `f.yaml:5:34: actors.a.backoff.max: expected a duration above zero such as 500ms, 5s or 1m30s, got nothing`},
		"a reset without unit": {one(permanent + "    backoff: {reset: 30}\n"), `f.yaml:5:22: actors.a.backoff.reset: expected a duration above zero such as 500ms, 5s or 1m30s, got "30"`},
		"an unknown key":       {one(permanent + "    backoff: {factor: 2}\n"), "f.yaml:5:15: actors.a.backoff.factor: unknown key; the keys here are initial, max, reset"},
		"no mapping":           {one(permanent + "    backoff: 5s\n"), `f.yaml:5:14: actors.a.backoff: expected a mapping with the keys initial, max, reset, got "5s"`},
		"no time to end":       {one("    term_timeout: 0s\n"), `f.yaml:4:19: actors.a.term_timeout: expected a duration above zero such as 500ms, 5s or 1m30s, got "0s"`},
	}.check(t)
	valid(t, one(permanent+"    backoff: {initial: 10s, reset: 1ms}\n"), read.Options{}) // as long as max
	valid(t, one("    backoff: {}\n"), read.Options{})
	valid(t, one("    restart: temporary\n    backoff: {initial: 1s}\n    while_down: fail\n"), read.Options{}) // switched off
}

func TestStandby(t *testing.T) {
	const nobody = "an actor with restart: temporary, the default, is started once and takes no spare; write restart: transient or permanent, or remove this"
	const permanent = "    restart: permanent\n"
	refused{
		"for nobody":   {one("    standby: 1\n"), "f.yaml:4:14: actors.a.standby: " + nobody},
		"too many":     {one(permanent + "    standby: 17\n"), "f.yaml:5:14: actors.a.standby: expected a whole number from 1 to 16, got 17"},
		"none":         {one(permanent + "    standby: 0\n"), `f.yaml:5:14: actors.a.standby: expected a number above zero, got "0"; to set none, leave the key out`},
		"less":         {one(permanent + "    standby: -1\n"), "f.yaml:5:14: actors.a.standby: expected a whole number above zero, got -1"},
		"a child's":    {one("    actors: [{name: c, command: [x], standby: 1}]\n"), "f.yaml:4:47: actors.a.actors.c.standby: " + nobody},
		"in each host": {one(permanent + "    replicas: 1000\n    actors: [{name: c, command: [x], restart: permanent, standby: 16}]\n"), "f.yaml:2:3: actors: expected a tree of at most 10000 processes, replicas and children included, got 18000"},
	}.check(t)
	tree := valid(t, one(permanent+"    standby: 16\n    replicas: 2\n"), read.Options{})
	if got := tree.Actors[0].Standby; got != 16 {
		t.Errorf("standby is %d", got)
	}
	valid(t, one("    restart: temporary\n    standby: 1\n"), read.Options{}) // switched off
	alone := config.Actor{Name: "a", Command: []string{"x"}, Standby: 1}
	if err := alone.Check(); err != nil {
		t.Errorf("a program may start another one: %v", err)
	}
}

func TestHealth(t *testing.T) {
	health := func(keys string) string { return one("    health: {" + keys + "}\n") }
	const duration = "expected a duration above zero such as 500ms, 5s or 1m30s, got "
	refused{
		"no failures":         {health("failures: 0"), `f.yaml:4:24: actors.a.health.failures: expected a number above zero, got "0"; to switch the checks off, write off: true`},
		"negative failures":   {health("failures: -2"), `f.yaml:4:24: actors.a.health.failures: expected a whole number above zero, got -2`},
		"no interval":         {health("interval: 0s"), `f.yaml:4:24: actors.a.health.interval: ` + duration + `"0s"`},
		"no timeout":          {health("timeout: -1s"), `f.yaml:4:23: actors.a.health.timeout: ` + duration + `"-1s"`},
		"an empty endpoint":   {health("endpoint: ''"), "f.yaml:4:24: actors.a.health.endpoint: expected a text, it is empty"},
		"a list of endpoints": {health("endpoint: [a]"), "f.yaml:4:24: actors.a.health.endpoint: expected a text, got a list"},
		"off is a word":       {health("off: on"), `f.yaml:4:19: actors.a.health.off: expected true or false, got "on"`},
		"off in quotes":       {health("off: 'true'"), `f.yaml:4:19: actors.a.health.off: expected true or false, got "true"`},
		"off is a list":       {health("off: [true]"), "f.yaml:4:19: actors.a.health.off: expected true or false, got a list"},
		"off is nothing":      {health("off: ~"), "f.yaml:4:19: actors.a.health.off: expected true or false, got nothing"},
		"an unknown key":      {health("intervall: 1s"), `f.yaml:4:14: actors.a.health.intervall: unknown key; did you mean "interval"?`},
		"no mapping":          {one("    health: off\n"), `f.yaml:4:13: actors.a.health: expected a mapping with the keys interval, timeout, failures, endpoint, off, got "off"`},
		"a near sibling": {
			health("off: false") + "  - {name: parser, command: [x], depends_on: {aa: healthy}}\n  - {name: walker, command: [x], depends_on: {parsre: healthy}}\n",
			"f.yaml:5:51: actors.parser.depends_on.aa: expected actors beside this one (a, walker), got \"aa\"\n" +
				`f.yaml:6:55: actors.walker.depends_on.parsre: expected actors beside this one (a, parser), got "parsre"; did you mean "parser"?`,
		},
	}.check(t)
	for name, text := range map[string]string{
		"off with others":   health("interval: 5s, off: true, timeout: 1s"),
		"healthy of none":   health("off: true") + "  - {name: b, command: [x], depends_on: {a: healthy}}\n",
		"off is false":      health("off: false, interval: 5s, timeout: 5s"),
		"a long timeout":    health("interval: 1s, timeout: 5s"),
		"off alone":         health("off: true") + "  - {name: b, command: [x], depends_on: {a: started}}\n",
		"healthy by itself": one("  - {name: b, command: [x], depends_on: {a: healthy}}\n"),
	} {
		t.Run(name, func(t *testing.T) { valid(t, text, read.Options{}) })
	}
}

func TestSetReachesSupervision(t *testing.T) {
	tree := valid(t, one("    actors: [{name: c, command: [x], restart: permanent}]\n"), read.Options{Set: []string{
		"supervision.strategy=one_for_one", "actors.a.supervision.max_restarts=9", "actors.a.supervision.window=2s",
		"actors.a.health.off=true", "actors.a.actors.c.backoff.max=1m", "actors.a.actors.c.while_down=fail",
		"actors.a.actors.c.health.endpoint=check", "actors.a.actors.c.health={interval: 9s}", "actors.a.term_timeout=1s",
	}})
	second := config.Duration(time.Second)
	want := &config.Tree{
		Supervision: config.Supervision{Strategy: config.OneForOne},
		Actors: []config.Actor{{
			Name: "a", Command: []string{"x"}, Health: config.Health{Off: true}, TermTimeout: second,
			Supervision: config.Supervision{MaxRestarts: 9, Window: 2 * second},
			Actors: []config.Actor{{
				Name: "c", Command: []string{"x"}, Restart: config.Permanent, Backoff: config.Backoff{Max: 60 * second},
				WhileDown: config.FailWhileDown, Health: config.Health{Interval: 9 * second},
			}},
		}},
	}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Error(diff)
	}
}

// The command line may switch off one thing without having to take away what the
// file says about it; what it says of restarts where nobody is restarted is refused.
func TestSetSwitchesOffWhatTheFileDescribes(t *testing.T) {
	text := "supervision: {strategy: one_for_all, window: 1s}\n" +
		one("    restart: permanent\n    backoff: {max: 5s}\n    while_down: fail\n    health: {interval: 5s}\n")
	text += "  - {name: b, command: [x], depends_on: {a: healthy}}\n"
	tree := valid(t, text, read.Options{Set: []string{"actors.a.health.off=true", "actors.a.restart=temporary"}})
	if a := tree.Actors[0]; !a.Health.Off || a.Restart != config.Temporary {
		t.Errorf("got %+v", a)
	}
	for name, c := range map[string]struct{ text, set, want string }{
		"temporary in the file": {
			one(""), "actors.a.backoff.max=5s",
			"--set actors.a.backoff.max=5s: actors.a.backoff: an actor with restart: temporary, the default, is never restarted; " +
				"write restart: transient or permanent, or remove this",
		},
		"temporary below": {one(""), "supervision.window=1s", "--set supervision.window=1s: supervision.window: " + neverRestarted},
	} {
		t.Run(name, func(t *testing.T) { problems(t, c.text, read.Options{Set: []string{c.set}}, c.want) })
	}
}
