package read_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// Whatever a file and an option say, there is a tree or there are problems, one line
// each.
func FuzzParse(f *testing.F) {
	f.Add(one("    replicas: ${N}\n"), "actors.a.dir=x")
	f.Add("a: &a [*a, *a]\n<<: *a\n", "x.y.z=[1, {a: b}]")
	f.Add("run: {actor: a}\nactors: [{name: a, depends_on: {a: started}}]", "run.args.x=${ROOT}")
	f.Add("actors: !!binary x\n? [1]\n: 2", "=")
	f.Add(one("    health: {off: true, timeout: 2s}\n    backoff: {initial: 1s, max: 1ms}\n    supervision: {strategy: x}\n"), "actors.a.health.off=[]")
	f.Add(one("    actors: [{name: b, restart: ~}, x]\n    supervision: {window: 1s}\n"), "actors.a.actors.b.restart=permanent")
	f.Add("run: {actor: a, endpoint: e, args: [010, 1.10, 1234e56, !!float 1, !env x, !!set {a}, .inf, 0x1]}\n"+one(""), "run.args=007")
	f.Add("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nactors: [*c, {<<: *a}]\n", "actors.a=!!null x")
	f.Add("actors: "+strings.Repeat("[{name: a, actors: ", 50)+strings.Repeat("}]", 50), "actors.a.actors.a.replicas=1000")
	f.Add("actors: [{name: a, command: [x], replicas: 1000, actors: [{name: b, command: [x], replicas: 1000}]}]", "actors.a.replicas=${N}")
	f.Add("actors: ["+strings.Repeat("{name: ''},", 60)+"]", "actors..name=")
	f.Add("! actors: !<tag:yaml.org,2002:seq> [!!map {name: !!str a, command: !!seq [\"\\0\"]}]", "! x=1")
	f.Add(one("    env: {'A=B': x, TRELLIS_NAME: x, '': x}\n    dir: \"\\0\"\n"), "actors.a.env.=x")
	f.Fuzz(func(t *testing.T, text, set string) {
		tree, err := parse(text, read.Options{Set: []string{set}, Args: []string{set}})
		if (tree == nil) != (err != nil) {
			t.Fatalf("%v, %v", tree, err)
		}
		wrong, ok := errors.AsType[*config.Error](err)
		if err == nil {
			if err := tree.Check(); err != nil {
				t.Errorf("a tree without problems has %v", err)
			}
			return
		}
		if !ok || len(strings.Split(err.Error(), "\n")) != len(wrong.Problems)+min(wrong.More, 1) {
			t.Errorf("%T %v", err, err)
		}
	})
}
