// Command walker is a plugin that yields the Go source files below a folder: the
// smallest example of a source. The handler is an iterator. It is asked for the next file
// only when the receiver has room for one, and sees yield return false once the receiver
// wants no more.
package main

import (
	"context"
	"iter"

	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/sdk"
)

func main() { sdk.Serve(census.Walk.Handle(walk)) }

func walk(ctx context.Context, r census.Root) iter.Seq2[tally.Found, error] {
	return tally.Walk(ctx, r.Root)
}
