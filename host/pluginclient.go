package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// pluginClient is the host's end of go-plugin's main connection to one process, and knows
// why calls over it end: gRPC itself knows only that the connection is gone. The
// incarnation owns it. It is made before the process, since the options of the connection
// have to name it, and go-plugin closes the connection when the process is released.
//
// The causes of its two ctxs are the first reasons that were given: of open, why new calls fail,
// and of ctx, why those in flight do. The fields that the handshake sets are read only after it.
type pluginClient struct {
	conn    *grpc.ClientConn // this and the following are set by the handshake; nil if there is none
	broker  *plugin.GRPCBroker
	version int // of the protocol

	ctx  context.Context // ends with lose
	end  context.CancelCauseFunc
	open context.Context // ends with refuse
	shut context.CancelCauseFunc
}

// newPluginClient makes the client of a process. The ctx that its calls end with has the
// values of base, but not its end: the end of the nursery gives the process the time to
// end in order, and what its clients do belongs to that.
func newPluginClient(base context.Context) *pluginClient {
	c := &pluginClient{version: wire.Version}
	c.ctx, c.end = context.WithCancelCause(context.WithoutCancel(base))
	c.open, c.shut = context.WithCancelCause(context.Background())
	return c
}

// clientMaker is the one plugin that go-plugin is told of. go-plugin gives the connection
// and its broker to nobody but a plugin's GRPCClient; so Dispense is used to get at both.
type clientMaker struct {
	plugin.NetRPCUnsupportedPlugin
	client *pluginClient
}

// GRPCServer is the plugin's half, which this program is not.
func (clientMaker) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("package host calls plugins; package sdk serves them")
}

// GRPCClient takes in the connection to a plugin.
func (m clientMaker) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	m.client.conn, m.client.broker = conn, broker
	return m.client, nil
}

// refuse fails new calls. Only the first reason counts.
func (c *pluginClient) refuse(why error) { c.shut(why) }

// lose fails all calls. Only the first reason counts.
func (c *pluginClient) lose(why error) {
	c.refuse(why)
	c.end(why)
}

// shutdown makes the call that go-plugin's hosts end a plugin with. Its messages have no fields.
func (c *pluginClient) shutdown(ctx context.Context) error {
	return c.conn.Invoke(ctx, shutdownMethod, &emptypb.Empty{}, &emptypb.Empty{})
}

// lost reports whether the process is over, though it may not be reaped yet.
func (c *pluginClient) lost() bool { return c.ctx.Err() != nil }

// refusal is why a new call fails, nil if it does not.
func (c *pluginClient) refusal() error { return context.Cause(c.open) }

// dialOptions make calls over the connection end with what it knows of the process.
// go-plugin appends them to its own, and the last of two that contradict each other
// counts.
func (c *pluginClient) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithIdleTimeout(0), // a connection that nobody uses is not broken
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessage)), // go-plugin's own is 2 GiB
		grpc.WithChainUnaryInterceptor(c.unary), grpc.WithChainStreamInterceptor(c.stream),
	}
}

// unary explains why the application's own calls fail. Those of go-plugin and of this
// package are only bounded: they are explained by who makes them.
func (c *pluginClient) unary(ctx context.Context, method string, args, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
	if ours(method) {
		return call(ctx, method, args, reply, conn, ownCall(o)...)
	}
	return c.explain(ctx, conn, call(ctx, method, args, reply, conn, o...))
}

// stream does the same for streams. That of go-plugin's broker is slowed down as well.
func (c *pluginClient) stream(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
	if ours(method) {
		o = ownCall(o)
	}
	s, err := open(ctx, d, conn, method, o...)
	switch {
	case err == nil && method == brokerStream:
		return &pacedStream{ClientStream: s}, nil
	case ours(method):
		return s, err
	}
	if err != nil {
		return nil, c.explain(ctx, conn, err)
	}
	return explainedStream{s, c, ctx, conn}, nil
}

// ours tells calls of go-plugin and of this package from the application's. go-plugin
// makes its own on the same connection, so that they pass the same interceptors.
func ours(method string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return slices.Contains([]string{"plugin.GRPCBroker", "plugin.GRPCController", "plugin.GRPCStdio",
		healthpb.Health_ServiceDesc.ServiceName, wire.Actor_ServiceDesc.ServiceName}, service)
}

// explainedStream is a stream whose end the client explains.
type explainedStream struct {
	grpc.ClientStream
	client *pluginClient
	caller context.Context // the stream's own ends with it
	conn   *grpc.ClientConn
}

// RecvMsg receives a message.
func (s explainedStream) RecvMsg(m any) error {
	return s.client.explain(s.caller, s.conn, s.ClientStream.RecvMsg(m))
}

// explain adds to a broken connection why it broke. If the process was asked to end, that
// is known before; if it has died, a moment later. The error has gRPC's code Unavailable,
// and wraps the reason, so that both status.Code and errors.As find what they look for.
func (c *pluginClient) explain(caller context.Context, conn *grpc.ClientConn, err error) error {
	// What this host itself closes, after the end, gRPC calls cancelled.
	closed := status.Code(err) == codes.Canceled && caller.Err() == nil && c.lost()
	if status.Code(err) != codes.Unavailable && !closed {
		return err
	}
	why := c.refusal()
	if why == nil && !c.lostSoon(caller, conn) {
		return err
	}
	if c.lost() {
		why = context.Cause(c.ctx)
	}
	return unavailable{fmt.Errorf("%w (%s)", why, status.Convert(err).Message())}
}

// lostSoon waits for a reason that a connection may have broken for. One that is not
// broken after all has none: the program itself has said that it is unavailable, and its
// caller waits no longer than drainBound for the state of the connection to show that. One
// that is broken waits for the end of the process to be noticed, up to deathBound.
func (c *pluginClient) lostSoon(caller context.Context, conn *grpc.ClientConn) bool {
	ctx, stop := context.WithTimeout(caller, deathBound)
	defer stop()
	soon, stopSoon := context.WithTimeout(ctx, drainBound)
	defer stopSoon()
	if conn.WaitForStateChange(soon, connectivity.Ready) {
		_ = task.Await(ctx, c.ctx.Done()) // which of them it was, lost says
	}
	return c.lost()
}

// unavailable gives an error gRPC's code for a peer that is not there.
type unavailable struct{ error }

// GRPCStatus is the error for gRPC.
func (u unavailable) GRPCStatus() *status.Status { return status.New(codes.Unavailable, u.Error()) }

func (u unavailable) Unwrap() error { return u.error }

// Bounds of what a plugin can send over go-plugin's main connection. docs/bounds.md has
// all bounds.
const (
	// mostOwnMessage is the largest message of go-plugin's and this project's own services, in
	// bytes: the answer to Boot, which has the shapes of all endpoints.
	mostOwnMessage = 4 << 20
	// mostMessage is the largest message of other services, unless a call says otherwise
	// (grpc.MaxCallRecvMsgSize).
	mostMessage = link.DefaultMaxMessage
	// readBuffer is gRPC's buffer for what comes, in bytes, which an idle connection keeps. Its
	// own 32 KiB would save no system calls: TLS reads whole records below it.
	readBuffer = 4 << 10
	// go-plugin keeps each announcement of its broker for brokerMemory, in a goroutine
	// of its own. mostAnnounced of them are let through within that time; the others wait.
	mostAnnounced = 512
	brokerMemory  = 5 * time.Second
	brokerStream  = "/plugin.GRPCBroker/StartStream"
)

// ownCall bounds a call of go-plugin or of this package.
func ownCall(o []grpc.CallOption) []grpc.CallOption {
	return append(slices.Clip(o), grpc.MaxCallRecvMsgSize(mostOwnMessage))
}

// pacedStream is a stream that takes mostAnnounced messages within brokerMemory. It is
// go-plugin's stream of announcements, for each of which go-plugin starts a goroutine that
// lives for five seconds. A plugin that sends more is not told so: its messages wait in
// gRPC's flow control. One goroutine of go-plugin's receives; taken is its own, and has no
// memory as long as nothing comes.
type pacedStream struct {
	grpc.ClientStream
	taken []time.Time // when those came that may still be remembered
}

// RecvMsg receives a message, when its turn has come.
func (p *pacedStream) RecvMsg(m any) error {
	if err := p.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	if len(p.taken) == mostAnnounced {
		if closedWithin(p.Context().Done(), time.Until(p.taken[0].Add(brokerMemory))) {
			return io.ErrUnexpectedEOF
		}
		p.taken = p.taken[1:]
	}
	p.taken = append(p.taken, time.Now())
	return nil
}
