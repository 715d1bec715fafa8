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
		Hosts:     host.Subtree, // the actors below this one in the config are started here
	}.Serve()
}
