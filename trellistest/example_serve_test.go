package trellistest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// The plugin under test serves countWords, and asks its parent for the text of a page.
var (
	countWords = contract.Func[string, int]("count-words")
	textOf     = contract.Func[string, string]("text-of")
)

func handleCountWords(ctx context.Context, page string) (int, error) {
	text, err := textOf.Call(ctx, sdk.Parent(ctx), page)
	return len(strings.Fields(text)), err
}

// testCountWords plays the parent. In a plugin's own package it is called TestCountWords.
func testCountWords(t *testing.T) {
	counter := trellistest.Plugin{
		Name:      "counter",
		Endpoints: []contract.Handler{countWords.Handle(handleCountWords)},
		Parent: []contract.Handler{textOf.Handle(func(context.Context, string) (string, error) {
			return "structured concurrency for plugins", nil
		})},
	}.Serve(t)
	n, err := countWords.Call(t.Context(), counter, "readme")
	if err != nil || n != 4 {
		t.Errorf("%d words, %v", n, err)
	}
}

// A plugin that calls its parent. One that does not is served by [trellistest.Serve] alone.
func ExamplePlugin_Serve() {
	runTest(testCountWords)
	// Output: PASS
}
