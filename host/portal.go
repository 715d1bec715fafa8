package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
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

// reach is named here for the embedding alone: an embedded field with a lower-case name is
// not part of the exported API.
type reach = endpoint.Reach

func newPortal(c *child) *Portal { return &Portal{c.dialogs, c} }

// dialogs returns the dialogs of the link to the child's present process. It is asked anew
// for each call, which is what makes a portal survive restarts.
func (c *child) dialogs(ctx context.Context) (t dialog.Target, err error) {
	i, err := c.awaitCallable(ctx)
	switch {
	case err != nil:
		return t, err
	case i.foreign():
		return t, errForeign(c.name)
	}
	return i.table.To(nil), nil
}

// found is the portal to a process of the child, as the directory knows it, or to an actor
// that the child hosts, which relays to it then. It leads to one process: the table of its
// link, or the host of that actor, says how that has ended. An entry that names no process
// is whichever is up.
func (c *child) found(e directory.Entry) contract.Portal {
	hosted := e.Path != c.member.Path()
	return reach(func(context.Context) (t dialog.Target, err error) {
		c.n.look(func() {
			switch i := c.lastUp; {
			case i == nil || !hosted && !e.Actor.IsZero() && !i.id.Is(e.Actor):
				err = route.Stale(e.Path, e.Actor)
			case i.foreign():
				err = errForeign(c.name)
			case hosted:
				t = i.table.To(&wire.Address{Path: e.Path, Actor: wire.FromID(e.Actor)})
			default:
				t = i.table.To(nil)
			}
		})
		return t, err
	})
}

// Path is the child's path from the root of the tree, by which a directory has it.
func (p *Portal) Path() string { return p.s.member.Path() }

// Name is the child's name.
func (p *Portal) Name() string { return p.s.name }

// ID is the identity of the child's present process; between two processes that of the
// last one, before the first that of the first.
func (p *Portal) ID() (id actor.ID) {
	p.s.n.look(func() { id = p.s.self })
	return id
}

// State is what the child is doing.
func (p *Portal) State() (state directory.State) {
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

// endpoints are what the process serves that came up last. They are still known while the
// actor is down.
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
	return i.client.version, nil
}

// Cancel asks the child to end, for good, and returns when all of its tasks have ended:
// they are told with a fault.ContextCancelled that names this actor and the reason. The
// nursery then sees to its process. Those that depend on the child are ended first, and of
// many children that are ended at once, each is asked when its turn comes. If the child
// does not answer within its cancel bound (500 ms by default), Cancel returns
// fault.ErrActorTooSlow, and the nursery goes on with the teardown: it waits for the
// grace, then uses force. Of a foreign program only its end
// means that its tasks have ended: Cancel returns when it is reaped, and so it does of a
// child that is being started. On a child that has ended it returns nil at once.
//
// Every step of this is bounded (Spec.CancelTimeout, Grace, TermTimeout). Cancel is
// shielded from the end of ctx, which may well be that of a scope into this very child.
func (p *Portal) Cancel(_ context.Context, reason string) error {
	i := p.s.dismiss(reason)
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

// Conn is go-plugin's main connection to the child's present process, for the gRPC
// services that the plugin serves itself (sdk.Plugin.Services, or any service of a
// foreign program). While the child is down, Conn waits or fails as a call does.
// The connection belongs to that one process and is closed with it: ask again
// after a restart, or use Services. It is not the caller's to close.
func (p *Portal) Conn(ctx context.Context) (*grpc.ClientConn, error) {
	i, err := p.upChild(ctx)
	if err != nil {
		return nil, err
	}
	return i.client.conn, nil
}

// Broker is go-plugin's broker on the main connection of the child's present
// process, for further connections in both directions. It is not the caller's to
// close.
func (p *Portal) Broker(ctx context.Context) (*plugin.GRPCBroker, error) {
	i, err := p.upChild(ctx)
	if err != nil {
		return nil, err
	}
	return i.client.broker, nil
}

// Dispense makes the client of a go-plugin interface, as go-plugin's own Dispense
// does; the type of the result is the interface's. It belongs to the child's present
// process, with whose end the ctx ends that the client is given: dispense another one
// after a restart.
func (p *Portal) Dispense(ctx context.Context, client plugin.GRPCPlugin) (any, error) {
	i, err := p.upChild(ctx)
	if err != nil {
		return nil, err
	}
	return client.GRPCClient(i.client.ctx, i.client.broker, i.client.conn)
}

// Services is a connection for clients that protoc generates. Each call over it
// goes to the process that is up, and waits while there is none, or fails, as
// Spec.WhileDown says. A call that the end of the process has cut off fails with
// code Unavailable and wraps why it ended, such as a *fault.ActorDied.
func (p *Portal) Services() grpc.ClientConnInterface { return services{p} }

// upChild is the process that is up, for calls over its main connection.
// It looks at the refusal as well, since a process that is ending still counts as
// callable, so that it can say why it refuses; the connection itself would go on working
// for a while.
func (p *Portal) upChild(ctx context.Context) (*incarnation, error) {
	i, err := p.s.awaitCallable(ctx)
	if err != nil {
		return nil, err
	}
	if err := i.client.refusal(); err != nil {
		return nil, err
	}
	if i.client.conn == nil {
		return nil, fmt.Errorf("%s runs inside this process and has no gRPC connection; test its services with its program", i.id)
	}
	return i, nil
}

// services calls the services of whichever process is up. It holds no connection: each
// call asks for the present one, and a stream stays with the process that it was opened
// on.
type services struct{ p *Portal }

// Invoke makes a unary call.
func (s services) Invoke(ctx context.Context, method string, args, reply any, o ...grpc.CallOption) error {
	conn, err := s.conn(ctx, method)
	if err != nil {
		return err
	}
	return conn.Invoke(ctx, method, args, reply, o...)
}

// NewStream opens a stream.
func (s services) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, o ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := s.conn(ctx, method)
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, d, method, o...)
}

// conn finds the connection for one call; its errors have gRPC's codes.
func (s services) conn(ctx context.Context, method string) (*grpc.ClientConn, error) {
	conn, err := s.p.Conn(ctx)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return nil, unavailable{fmt.Errorf("%s: %w", method, err)}
}

// ErrForeign is what a call of an endpoint fails with if the child is a foreign program
// (Spec.GoPlugin): it knows nothing of Trellis and serves none. See [Portal.Services].
var ErrForeign = errors.New("foreign program")

func errForeign(name string) error {
	return fmt.Errorf("%w: %q serves no endpoints; call it over its gRPC connection (Portal.Services)", ErrForeign, name)
}
