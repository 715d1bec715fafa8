package host

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/dialog"
)

// Portal is a handle for calling into a child. It may be used from any goroutine,
// for as long as its nursery lives; calls into an actor that has ended fail.
type Portal struct{ c *child }

// ID is the child's identity.
func (p *Portal) ID() actor.ID { return p.c.id }

// Table gives the dialogs of the link to the child.
func (p *Portal) Table(context.Context) (*dialog.Table, error) { return p.c.table, nil }

// Done is closed when the child is gone, its process reaped.
func (p *Portal) Done() <-chan struct{} { return p.c.reaped }

// Endpoints are the names of what the child serves.
func (p *Portal) Endpoints() []string {
	names := make([]string, len(p.c.endpoints))
	for i, e := range p.c.endpoints {
		names[i] = e.Name
	}
	return names
}

// Kind is the kind of an endpoint of the child: "func", "source" or "context"; ""
// if the child does not serve it.
func (p *Portal) Kind(endpoint string) string {
	for _, e := range p.c.endpoints {
		if e.Name == endpoint {
			return dialog.KindName(e.Kind)
		}
	}
	return ""
}

// Cancel asks the child to end and returns when all of its tasks have ended; the
// nursery then sees to its process. If the child does not answer within its cancel
// bound (500 ms by default), Cancel returns fault.ErrActorTooSlow, and the nursery
// uses force. On a child that has ended it returns nil at once. The end of ctx
// gives ctx's cause and does not take the request back.
func (p *Portal) Cancel(ctx context.Context) error {
	p.c.ask("its host cancelled it")
	select {
	case <-p.c.acked:
		return p.c.ackErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
