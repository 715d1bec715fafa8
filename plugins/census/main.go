// Command census is a plugin that counts a Go source tree. It hosts a walker, which
// finds the files, and parsers, which parse them; the tree says how many.
package main

import (
	"github.com/seed-2ba35074/trellis/host"
	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

func main() {
	sdk.Plugin{
		Endpoints: []contract.Handler{census.Count.Handle(count)},
		Hosts:     host.Subtree,
	}.Serve()
}
