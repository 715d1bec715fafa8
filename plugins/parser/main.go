// Command parser is a plugin that parses Go source files as fast as they come: the
// smallest example of a context with a stream in both directions.
package main

import (
	"context"

	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// parser reads its stream in any case, so the stream is open from the start.
var parser = census.Parse.With(contract.ContextOptions{Reading: true}).Handle(parse)

func main() { sdk.Serve(parser) }

// most is how many files are answered together: a message costs as much as a small file, and
// the answers to many should not have to wait for each other.
const most = 16

// parse answers the paths that have come with what the files hold, until the census closes its end
// of the stream. A file that does not parse is an answer as well; an error here is the end of the
// context, and the census learns of it.
func parse(ctx context.Context, _ census.None, c *census.ParseCallee) (none census.None, err error) {
	if err := c.Started(none); err != nil {
		return none, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return none, err
	}
	for paths, err := range stream.Batches(ctx, most) {
		if err != nil {
			return none, err
		}
		files := make([]tally.File, len(paths))
		for i, path := range paths {
			files[i] = tally.Parse(path)
		}
		if err := stream.Send(ctx, files); err != nil {
			return none, err
		}
	}
	return none, nil
}
