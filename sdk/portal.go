package sdk

import (
	"context"
	"errors"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

type parentKey struct{}

// Parent is a portal to the actor that started this plugin, whose endpoints a
// handler may call with the ctx that it was given.
func Parent(ctx context.Context) contract.Portal {
	l, _ := ctx.Value(parentKey{}).(*life)
	return parent{l}
}

// parent is the portal to the host; without a life, to nobody.
type parent struct{ life *life }

// Table gives the link to the parent.
func (p parent) Table(context.Context) (*dialog.Table, error) {
	if p.life == nil {
		return nil, errors.New("sdk.Parent: this ctx is not a handler's; a plugin can call its parent only from a handler")
	}
	return p.life.table, nil
}

// Self is this plugin's identity. It is the zero ID outside a handler's ctx.
func Self(ctx context.Context) actor.ID {
	id, _ := self.From(ctx)
	return id
}
