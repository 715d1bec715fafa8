package trellistest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// translated is what a dictionary answers.
type translated struct {
	Text string `json:"text"`
	Took int    `json:"took"` // is another one each time
}

var lookUp = contract.Func[string, translated]("look-up")

// edition is a version of the program.
func edition(took int) []contract.Handler {
	return []contract.Handler{lookUp.Handle(func(_ context.Context, word string) (translated, error) {
		return translated{word + " (in French)", took}, nil
	})}
}

// testNextEdition plays to the next version what was said with this one. In a plugin's own package the file is
// kept beside the test, and the test is called TestNextEdition.
func testNextEdition(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dictionary.rec")
	t.Run("recorded", func(t *testing.T) {
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		})
		actor := trellistest.Plugin{Endpoints: edition(3), Record: out}.Serve(t)
		if _, err := lookUp.Call(t.Context(), actor, "bread"); err != nil {
			t.Error(err)
		}
	})
	trellistest.Replay(t, file, trellistest.Plugin{Endpoints: edition(5)},
		trellistest.Ignore("answer.took"))
}

// What was said with one version of a plugin is played to another one. Fields that differ each time are left out.
func ExampleReplay() {
	runTest(testNextEdition)
	// Output: PASS
}
