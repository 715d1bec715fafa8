// Package self puts the actor that runs some code into the ctx of that code. Packages sdk
// and host, neither of which imports the other, meet in it: a nursery inside a plugin
// belongs to the plugin's actor. Programs ask sdk.Self.
package self

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

type key struct{}

// With returns a ctx in which [From] finds id.
func With(ctx context.Context, id actor.ID) context.Context { return context.WithValue(ctx, key{}, id) }

// From returns the actor that the code under ctx runs in; ok is false outside any actor.
func From(ctx context.Context) (id actor.ID, ok bool) {
	id, ok = ctx.Value(key{}).(actor.ID)
	return id, ok
}
