// Package contract declares what the programs of the census say to each other: each
// endpoint once, as a value that whoever serves it and whoever calls it import.
//
//	sdk.Serve(census.Walk.Handle(walk))                                // in the walker
//	for found, err := range census.Walk.Stream(ctx, walker, root) {…}  // in the census
//
// The names in quotes are what stands on the wire and in a config's run.endpoint.
package contract

import (
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Walk yields the Go source files below a folder.
var Walk = contract.Source[Root, tally.Found]("walk")

// Parse parses files: paths flow in, counts flow out, those of all paths together that had come.
var Parse = contract.Context[None, None, tally.Path, []tally.File, None]("parse")

type (
	// ParseCallee is the parser's end of Parse.
	ParseCallee = contract.Callee[None, tally.Path, []tally.File]
	// ParseOpener is the other end.
	ParseOpener = contract.Opener[None, tally.Path, []tally.File, None]
)

// Count counts a source tree and streams how far it is.
var Count = contract.Context[Root, None, None, Progress, tally.Report]("count")

// CountCallee is the census's end of Count.
type CountCallee = contract.Callee[None, None, Progress]

// Root names a source folder.
type Root struct {
	Root string `json:"root"`
}

// None is a value with nothing in it, for a place of an endpoint that has nothing to say.
type None struct{}

// Progress is how far a census is.
type Progress struct {
	Seen    int            `json:"files_seen"`
	Parsed  int            `json:"done"`
	Total   int            `json:"total,omitempty"` // of files; 0 while the walker finds more
	Failed  int            `json:"failed"`
	Rate    float64        `json:"files_per_s"`
	Parsers []tally.Worker `json:"parsers"`
}
