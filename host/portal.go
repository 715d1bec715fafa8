package host

import (
	"context"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Portal is the handle on a child, of either kind: a plugin with our SDK, whose endpoints
// take it as a contract.Portal, and a foreign program, a go-plugin binary that knows nothing
// of Trellis (Spec.GoPlugin) and is called with gRPC clients of its own, over [Portal.Services].
//
// It survives restarts: a call made while the child is down waits for its next process,
// bounded by its ctx, or fails at once with [fault.ErrActorDown], as Spec.WhileDown says.
// It may be used from any goroutine, for as long as its nursery lives; calls into a child
// that is gone for good fail.
type Portal struct {
	reach // endpoints are called through it

	s *child
}

type reach = endpoint.Reach

func newPortal(c *child) *Portal { return &Portal{c.dialogs, c} }

// dialogs gives the dialogs of the link to the child's present process.
func (c *child) dialogs(ctx context.Context) (*dialog.Table, error) {
	i, err := c.awaitCallable(ctx)
	switch {
	case err != nil:
		return nil, err
	case i.foreign():
		return nil, fmt.Errorf("%w: %q serves no endpoints; call it over its gRPC connection (Portal.Services)", ErrForeign, c.spec.Name)
	}
	return i.table, nil
}

// Name is the child's name.
func (p *Portal) Name() string { return p.s.spec.Name }

// ID is the identity of the child's present process; between two processes that of the
// last one, before the first that of the first.
func (p *Portal) ID() (id actor.ID) {
	p.s.n.look(func() { id = p.s.self })
	return id
}

// State is what the child is doing.
func (p *Portal) State() (state State) {
	p.s.n.look(func() { state = p.s.state })
	return state
}

// Done is closed when the child is gone for good, its last process reaped.
func (p *Portal) Done() <-chan struct{} { return p.s.gone }

// Endpoints are the names of what the child serves; none of a foreign program.
func (p *Portal) Endpoints() []string {
	endpoints := p.endpoints()
	names := make([]string, len(endpoints))
	for i, e := range endpoints {
		names[i] = e.Name
	}
	return names
}

// Kind is the kind of an endpoint of the child: "func", "source" or "context"; ""
// if the child does not serve it.
func (p *Portal) Kind(endpoint string) string {
	for _, e := range p.endpoints() {
		if e.Name == endpoint {
			return dialog.KindName(e.Kind)
		}
	}
	return ""
}

// endpoints are what the process serves that came up last.
func (p *Portal) endpoints() (list []*wire.Endpoint) {
	p.s.n.look(func() {
		if p.s.lastUp != nil {
			list = p.s.lastUp.endpoints
		}
	})
	return list
}

// Version is the protocol version that the present process of a foreign program has picked
// from GoPlugin.Versions; of a plugin with our SDK it is that of its handshake. While the
// child is down, Version waits or fails as a call does.
func (p *Portal) Version(ctx context.Context) (int, error) {
	i, err := p.s.awaitCallable(ctx)
	if err != nil {
		return 0, err
	}
	return i.plugin.NegotiatedVersion(), nil
}

// Cancel asks the child to end, for good, and returns when all of its tasks have
// ended; the nursery then sees to its process. Those that depend on the child are ended
// first, and of many children that are ended at once, each is asked when its turn comes.
// If the child does not answer within its cancel bound (500 ms by default), Cancel
// returns fault.ErrActorTooSlow, and the nursery uses force. Of a foreign program only
// its end tells that its tasks have ended: Cancel returns when it is reaped, and so it
// does of a child that is being started. On a child that has ended it returns nil at
// once.
//
// Every step of this is bounded (Spec.CancelTimeout, Grace, TermTimeout). Cancel is
// shielded from the end of ctx, which may well be that of a scope into this very child.
func (p *Portal) Cancel(context.Context) error {
	i := p.s.dismiss("its host cancelled it")
	switch {
	case i == nil:
		<-p.s.gone
		return nil
	case i.foreign():
		<-p.s.gone
	default:
		<-i.acked
	}
	return i.ackErr
}
