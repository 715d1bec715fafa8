package dialog

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Target is whom dialogs are opened with: the actor at the other end of a table's link, or one to which
// that relays them.
type Target struct {
	*Table
	address *wire.Address // nil: the other end

	// Over is how a portal to many actors counts what each of them has to do, and tries another one. If it is not nil, it
	// is called once, when the one dialog that the target is for has ended. If the callee has certainly not begun it, it
	// is given why, and may give the way to another one; nil: there is none. The caller calls it: no lock is held then.
	Over func(unbegun error) (next func(context.Context) (Target, error))
}

// To is an actor that the one at the other end relays to; nil is that one itself.
func (t *Table) To(a *wire.Address) Target { return Target{Table: t, address: a} }

// Peer is the actor itself.
func (t Target) Peer() actor.ID {
	if t.address != nil {
		return t.address.Actor.ToID()
	}
	return t.Table.Peer()
}

// Open is [Table.Open].
func (t Target) Open(ctx context.Context, r *Request) (*Dialog, error) {
	r.target = t.address
	return t.Table.Open(ctx, r)
}

// Call is [Table.Call].
func (t Target) Call(ctx context.Context, r *Request) ([]byte, error) {
	r.target = t.address
	return t.Table.Call(ctx, r)
}

// Peer is the actor at the other side.
func (d *Dialog) Peer() actor.ID {
	if d.far != nil {
		return d.far.Actor.ToID()
	}
	return d.table.Peer()
}
