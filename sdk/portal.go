package sdk

import (
	"context"
	"errors"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// parentKey is where [Parent] finds the life of the actor in a ctx. It is a value of the
// ctx and not a variable of the package, so that code outside a handler cannot call the
// parent without a task that owns the call.
type parentKey struct{}

// Parent is a portal to the actor that started this plugin, whose endpoints a
// handler may call with the ctx that it was given.
// It is made for a ctx and keeps working as long as the link does. A ctx that is not a
// handler's gives a portal all the same, whose calls fail and say so.
func Parent(ctx context.Context) contract.Portal {
	l, ok := ctx.Value(parentKey{}).(*life)
	return endpoint.Reach(func(context.Context) (*dialog.Table, error) {
		if !ok {
			return nil, errors.New("sdk.Parent: this ctx is not a handler's; a plugin can call its parent only from a handler")
		}
		return l.table, nil
	})
}

// Self is this plugin's identity. It is the zero ID outside a handler's ctx.
func Self(ctx context.Context) actor.ID {
	id, _ := self.From(ctx)
	return id
}
