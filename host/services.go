package host

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

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
func (p *Portal) upChild(ctx context.Context) (*incarnation, error) {
	i, err := p.s.awaitCallable(ctx)
	if err != nil {
		return nil, err
	}
	if err := i.client.refusal(); err != nil {
		return nil, err
	}
	return i, nil
}

// services calls the services of whichever process is up.
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
