package trellistest

import (
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Plugin is a plugin program without its process: what the program gives to sdk.Plugin, and
// what its host and its tree would say of it. The zero value serves nothing. It is a value
// that nothing here changes; one Plugin may be served by any number of tests.
type Plugin struct {
	// Name is the actor's name, "actor" if empty. In a tree it is the name of the
	// program, as the tree's file has it.
	Name      string
	Endpoints []contract.Handler
	// Parent is what the actor that started this one serves: handlers call it through
	// sdk.Parent.
	Parent []contract.Handler
}
