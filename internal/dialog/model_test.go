package dialog

import (
	"flag"
	"slices"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// The model checker explores every interleaving of both sides of a dialog, of the
// link and of the tasks, within the bounds of each scenario. A failure prints a
// shortest way to it. What it takes for granted: each task ends sooner or later,
// and looks at its ctx where it blocks.

var modelMode = flag.String("model", "quick", "bounds of the model checker: quick or full")

type (
	two = [2]uint8 // opener, callee
	yes = [2]bool
)

// The quick scenarios take a second together. The small ones come first, so that
// mistakes are noticed soon.
var quickScenarios = []scenario{
	{name: "call", kind: Func, aborts: two{1, 1}, breaks: two{0, 1}, fails: yes{1: true}, large: true, refuse: true, loss: true},
	{name: "source", kind: Source, window: 1, sends: two{0, 3}, cancels: two{1, 0}, inTask: yes{opener: true}, aborts: two{1, 0}, fails: yes{true, true}, large: true},
	{name: "goroutines that outlive tasks", kind: Context, window: 1, sends: two{0, 2}, fails: yes{true, true}, helpers: true},
	{name: "larger window", kind: Context, window: 1, opens: 2, sends: two{0, 4}, large: true, cancels: two{1, 0}},
	{name: "smaller window", kind: Context, window: 2, opens: 1, sends: two{0, 4}, cancels: two{1, 0}},
	{name: "opener reads from the start", kind: Context, window: 1, sends: two{0, 3}, reads: yes{opener: true}, cancels: two{1, 0}, large: true},
	{name: "callee reads from the start", kind: Context, window: 1, sends: two{3, 0}, reads: yes{callee: true}, cancels: two{1, 0}, large: true},
	{name: "opener only waits", kind: Context, window: 1, sends: two{0, 3}, waits: true, fails: yes{true, true}},
	{name: "reader keeps up", kind: Source, window: 1, most: 4, sends: two{0, 6}, cancels: two{1, 0}},
	{name: "window that is lent later", kind: Source, window: 3, lent: 1, sends: two{0, 6}, cancels: two{1, 0}},
	{name: "no backpressure", kind: Context, window: 1, sends: two{0, 3}, overflow: wire.Overflow_OVERFLOW_FAIL},
	{name: "both wait in Cancel", kind: Context, cancels: two{1, 1}, inTask: yes{true, true}, fails: yes{true, true}, timeouts: true},
	{name: "broken and cut", kind: Context, cancels: two{1, 0}, breaks: two{0, 1}, timeouts: true},
	{name: "large values", kind: Context, aborts: two{1, 1}, breaks: two{1, 1}, large: true},
	{name: "callee waits in Cancel", kind: Context, cancels: two{1, 2}, inTask: yes{callee: true}, fails: yes{true, true}, aborts: two{1, 0}, large: true},
	{name: "opener waits in Cancel", kind: Context, cancels: two{2, 1}, inTask: yes{opener: true}, fails: yes{true, true}, aborts: two{1, 1}},
	{name: "both cancel", kind: Context, cancels: two{1, 1}, fails: yes{true, true}, timeouts: true},
	{name: "source, link lost", kind: Source, window: 1, sends: two{0, 2}, cancels: two{1, 0}, aborts: two{1, 1}, fails: yes{true, true}, loss: true},
	{name: "overdue", kind: Context, aborts: two{1, 0}, breaks: two{1, 0}, fails: yes{true, true}, timeouts: true},
	{name: "link lost", kind: Context, cancels: two{1, 1}, aborts: two{1, 0}, loss: true},
	{name: "relayed call", kind: Func, aborts: two{1, 1}, breaks: two{0, 1}, fails: yes{1: true}, large: true, refuse: true, loss: true, relayed: true},
	{name: "relayed, larger window", kind: Context, window: 1, opens: 2, sends: two{0, 3}, fails: yes{true, true}, relayed: true},
	{name: "relayed source", kind: Source, window: 1, sends: two{0, 3}, large: true, cancels: two{1, 0}, relayed: true},
	{name: "relayed, both cancel", kind: Context, cancels: two{1, 1}, fails: yes{true, true}, timeouts: true, relayed: true},
	{name: "relayed, links lost", kind: Context, cancels: two{1, 1}, loss: true, relayed: true},
	{name: "relayed stream, links lost", kind: Source, window: 1, sends: two{0, 2}, fails: yes{callee: true}, loss: true, relayed: true},
	{name: "relayed, a message cannot be sent on", kind: Context, window: 1, sends: two{0, 2}, fails: yes{callee: true}, narrow: true, relayed: true},
	{name: "relayed, a value cannot be sent on", kind: Context, cancels: two{1, 1}, large: true, narrow: true, relayed: true},
	{name: "misfortune", kind: Context, cancels: two{1, 0}, fails: yes{true, true}, aborts: two{1, 1}, breaks: two{1, 1}, starts: 2, refuse: true, goexit: true},
	{name: "stream to the opener", kind: Context, window: 1, sends: two{0, 3}, fails: yes{true, true}, closes: true},
	{name: "stream to the callee", kind: Context, window: 1, sends: two{3, 0}, fails: yes{true, true}, closes: true},
}

// full scenarios have the same shapes with more room.
var fullScenarios = []scenario{
	{name: "full: cancels", kind: Context, cancels: two{2, 2}, fails: yes{true, true}, aborts: two{1, 1}, timeouts: true, large: true},
	{name: "full: misfortune", kind: Context, cancels: two{1, 1}, fails: yes{true, true}, aborts: two{1, 1}, breaks: two{1, 1}, starts: 2, refuse: true, goexit: true, timeouts: true, large: true},
	{name: "full: link lost", kind: Context, cancels: two{1, 1}, fails: yes{true, true}, aborts: two{1, 1}, breaks: two{1, 1}, loss: true, timeouts: true, large: true},
	{name: "full: two-way stream", kind: Context, window: 2, sends: two{3, 3}, fails: yes{true, true}},
	{name: "full: two-way stream, closed", kind: Context, window: 1, sends: two{2, 2}, fails: yes{true, true}, closes: true, large: true},
	{name: "full: stream to the opener", kind: Context, window: 2, sends: two{0, 4}, fails: yes{true, true}, closes: true, helpers: true, large: true},
	{name: "full: stream to the callee", kind: Context, window: 2, sends: two{4, 0}, fails: yes{true, true}, closes: true, helpers: true, large: true},
	{name: "full: stream, opener cancels", kind: Context, window: 1, sends: two{2, 2}, cancels: two{1, 0}, fails: yes{true, true}, aborts: two{1, 0}, timeouts: true},
	{name: "full: stream, callee cancels", kind: Context, window: 1, sends: two{2, 2}, cancels: two{0, 1}, fails: yes{true, true}, aborts: two{0, 1}, timeouts: true},
	{name: "full: stream, all break", kind: Context, window: 1, sends: two{2, 2}, fails: yes{true, true}, aborts: two{1, 1}, breaks: two{1, 1}},
	{name: "full: stream, link lost", kind: Context, window: 1, sends: two{2, 2}, fails: yes{true, true}, loss: true, cancels: two{1, 1}},
	{name: "full: smaller window", kind: Context, window: 3, opens: 1, sends: two{1, 5}, fails: yes{true, true}, large: true, cancels: two{1, 0}},
	{name: "full: both read from the start", kind: Context, window: 2, sends: two{3, 3}, reads: yes{true, true}, fails: yes{true, true}, large: true},
	{name: "full: larger window", kind: Context, window: 2, opens: 3, sends: two{1, 4}, fails: yes{true, true}, large: true, cancels: two{1, 0}},
	{name: "full: readers keep up", kind: Context, window: 1, most: 3, sends: two{3, 3}, fails: yes{true, true}, cancels: two{1, 0}},
	{name: "full: window that is lent later", kind: Context, window: 4, lent: 1, sends: two{1, 5}, fails: yes{true, true}, cancels: two{1, 0}},
	{name: "full: no backpressure", kind: Context, window: 2, opens: 3, sends: two{1, 4}, overflow: wire.Overflow_OVERFLOW_FAIL, fails: yes{true, true}, cancels: two{1, 0}},
	{name: "full: source", kind: Source, window: 2, sends: two{0, 4}, cancels: two{1, 0}, aborts: two{1, 1}, fails: yes{true, true}, large: true, loss: true, closes: true},
}

// maxStates keeps a scenario that has grown from eating the machine.
const maxStates = 8_000_000

func scenarios() []scenario {
	if *modelMode == "full" {
		return slices.Concat(quickScenarios, fullScenarios)
	}
	return quickScenarios
}

// C05 C07 C08 C10 C12 C14 C15 C24 M02 M04 M06 M07 M11, and that nothing is ever
// stuck: the rules are in model_rules_test.go.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			r, _ := learn(sc.name, func() (*report, string) { return explore(&sc, maxStates), sc.name })
			if r.broken != "" {
				t.Fatalf("%v\n%s", r, r.transcript())
			}
			t.Log(r)
		})
	}
}
