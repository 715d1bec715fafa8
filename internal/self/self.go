// Package self puts what an actor knows of itself into the ctx of its code: who it is, and
// how it ends. Packages sdk and host, neither of which imports the other, meet in it: a
// nursery inside a plugin belongs to the plugin's actor, and ends when that ends. Programs
// ask sdk.Self.
//
//	ending := self.NewEnding()               // sdk, at the boot
//	ctx = self.With(ctx, id, ending)         // for every handler
//	id, ok := self.From(ctx)                 // host, in a nursery that a handler opens
//	ending := self.EndingFrom(ctx)           // the same; nil in a root host
package self

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

type key struct{}

type value struct {
	id     actor.ID
	ending *Ending
}

// With returns a ctx in which [From] finds id, and [EndingFrom] the actor's ending; nil is
// that of a root host.
func With(ctx context.Context, id actor.ID, ending *Ending) context.Context {
	return context.WithValue(ctx, key{}, value{id, ending})
}

// From returns the actor that the code under ctx runs in; ok is false outside any actor.
func From(ctx context.Context) (id actor.ID, ok bool) {
	v, ok := ctx.Value(key{}).(value)
	return v.id, ok
}

// EndingFrom returns the ending of the actor that the code under ctx runs in; nil if it
// runs in none or in a root host.
func EndingFrom(ctx context.Context) *Ending {
	v, _ := ctx.Value(key{}).(value)
	return v.ending
}
