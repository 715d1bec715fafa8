package sdk

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Parent is a portal to the actor that started this plugin, whose endpoints a
// handler may call with the ctx that it was given.
// It is made for a ctx and keeps working as long as the link does. A ctx that is not a
// handler's gives a portal all the same, whose calls fail and say so.
func Parent(ctx context.Context) contract.Portal { return life.Parent(ctx) }

// Self is this plugin's identity. It is the zero ID outside a handler's ctx.
func Self(ctx context.Context) actor.ID {
	id, _ := self.From(ctx)
	return id
}
