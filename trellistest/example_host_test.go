package trellistest_test

import (
	"context"
	"testing"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

var translate = contract.Func[string, string]("translate")

// dictionary stands for the program of that name.
var dictionary = trellistest.Plugin{
	Name: "dictionary",
	Endpoints: []contract.Handler{
		translate.Handle(func(_ context.Context, word string) (string, error) { return word + " (in French)", nil }),
	},
}

// testRestart makes a process die, and sees that the host starts another one. No program is built,
// and no pause between two starts is waited for. In a package of its own it is called TestRestart.
func testRestart(t *testing.T) {
	trellistest.Bubble(t, func(t *testing.T) {
		tree := config.Tree{Actors: []config.Actor{
			{Name: "french", Command: []string{"dictionary"}, Restart: config.Permanent},
		}}
		h := trellistest.Host(t, tree, dictionary)
		h.WantEvents(trellistest.Started("french"))

		h.Process("french").Die(2)
		h.WantEvents(trellistest.Ended("french", directory.Crashed), trellistest.Started("french"))

		text, err := translate.Call(t.Context(), h.Portal("french"), "bread")
		if err != nil || text != "bread (in French)" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// A tree whose programs are plugins of the test. [trellistest.File] reads it from its config file.
func ExampleHost() {
	runTest(testRestart)
	// Output: PASS
}
