package read_test

import (
	"errors"
	"fmt"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

const file = `
actors:
  - name: parser
    command: [./bin/parser]
    replicas: ${PARSERS:-2}
`

// A file, variables and what the command line has set become a tree.
func ExampleParse() {
	tree, err := read.Parse("config.yaml", []byte(file), read.Options{Set: []string{"actors.parser.restart=transient"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	parser := tree.Actors[0]
	fmt.Println(parser.Name, parser.Replicas, parser.Restart)
	// Output: parser 2 transient
}

// All problems are reported at once, each with its place.
func ExampleParse_problems() {
	_, err := read.Parse("config.yaml", []byte("actors:\n  - {nam: parser, command: [./bin/parser], restart: sometimes}\n"), read.Options{})
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		fmt.Println(wrong)
	}
	// Output:
	// config.yaml:2:5: actors[0].name: expected a name, there is none
	// config.yaml:2:6: actors[0].nam: unknown key; did you mean "name"?
	// config.yaml:2:53: actors[0].restart: expected temporary, transient or permanent, got "sometimes"
}
