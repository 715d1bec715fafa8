package read_test

import (
	"errors"
	"strings"
	"testing"

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
	f.Fuzz(func(t *testing.T, text, set string) {
		tree, err := parse(text, read.Options{Set: []string{set}})
		if (tree == nil) != (err != nil) {
			t.Fatalf("%v, %v", tree, err)
		}
		wrong, ok := errors.AsType[*read.Error](err)
		if err != nil && (!ok || len(strings.Split(err.Error(), "\n")) != len(wrong.Problems)) {
			t.Errorf("%T %v", err, err)
		}
	})
}
