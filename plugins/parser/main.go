// Command parser is a plugin that parses Go source files as fast as they come.
package main

import (
	"context"

	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func main() {
	sdk.Serve(census.Parse.With(contract.ContextOptions{Reading: true}).Handle(parse))
}

func parse(ctx context.Context, _ census.None, c *census.ParseCallee) (none census.None, err error) {
	if err := c.Started(none); err != nil {
		return none, err
	}
	stream, err := c.Stream(contract.StreamOptions{})
	if err != nil {
		return none, err
	}
	for path, err := range stream.All(ctx) {
		if err != nil {
			return none, err
		}
		if err := stream.Send(ctx, tally.Parse(path)); err != nil {
			return none, err
		}
	}
	return none, nil
}
