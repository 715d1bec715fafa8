package config_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// A description in Go keeps the rules of a file. Check says all that is wrong at once.
func ExampleTree_Check() {
	tree := config.Tree{Actors: []config.Actor{
		{Name: "Parser", Command: []string{"./bin/parser"}},
		{Name: "walker", Command: []string{"./bin/walker"}, Backoff: config.Backoff{Max: config.Duration(5 * time.Second)}},
	}}
	if wrong, ok := errors.AsType[*config.Error](tree.Check()); ok {
		for _, p := range wrong.Problems {
			fmt.Println(p)
		}
	}
	// Output:
	// actors.Parser.name: expected a name of 1 to 63 letters a-z, digits, - and _, got "Parser"
	// actors.walker.backoff: an actor with restart: temporary, the default, is never restarted; write restart: transient or permanent, or remove this
}

// Levels are the actors in the order in which they start: those of a level need earlier ones only.
func ExampleLevels() {
	levels := config.Levels([]config.Actor{
		{Name: "parser", DependsOn: map[string]config.Condition{"walker": config.Started}},
		{Name: "walker"},
		{Name: "clock"},
	})
	for _, together := range levels {
		fmt.Println("together:")
		for _, a := range together {
			fmt.Println(a.Name)
		}
	}
	// Output:
	// together:
	// walker
	// clock
	// together:
	// parser
}

// Sizes are written as in a file.
func ExampleParseSize() {
	size, err := config.ParseSize("64MiB")
	fmt.Println(int64(size), size, err)
	// Output: 67108864 64MiB <nil>
}
