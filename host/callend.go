package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// fate is what becomes of calls over a child's main connection. gRPC itself knows
// only that the connection is gone; the fate says why.
type callEnd struct {
	ctx context.Context // ends when calls in flight fail, with the reason as cause
	end context.CancelCauseFunc

	mu      sync.Mutex
	closing error // why new calls fail
}

// newCallEnd makes the fate of a process, whose ctx has the values of base.
func newCallEnd(base context.Context) *callEnd {
	e := &callEnd{}
	e.ctx, e.end = context.WithCancelCause(context.WithoutCancel(base))
	return e
}

// refuse fails new calls. Only the first reason counts.
func (e *callEnd) refuse(why error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing == nil {
		e.closing = why
	}
}

// endAll fails all calls. Only the first reason counts.
func (e *callEnd) endAll(why error) {
	e.refuse(why)
	e.end(why)
}

// over tells that the process is over, though it may not be reaped yet.
func (e *callEnd) over() bool { return e.ctx.Err() != nil }

// err is why a new call fails, nil if it does not.
func (e *callEnd) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closing
}

// dialOptions make calls over the connection end with the fate.
func (e *callEnd) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithIdleTimeout(0), // a connection that nobody uses is no broken one
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessage)), // go-plugin's own is 2 GiB
		grpc.WithChainUnaryInterceptor(e.unary), grpc.WithChainStreamInterceptor(e.stream),
	}
}

func (e *callEnd) unary(ctx context.Context, method string, args, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
	if ours(method) {
		return call(ctx, method, args, reply, conn, ownCall(o)...)
	}
	return e.explain(ctx, conn, call(ctx, method, args, reply, conn, o...))
}

func (e *callEnd) stream(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
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
		return nil, e.explain(ctx, conn, err)
	}
	return explainedStream{s, e, ctx, conn}, nil
}

// ours tells calls of go-plugin and of this package from the application's.
func ours(method string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return slices.Contains([]string{"plugin.GRPCBroker", "plugin.GRPCController", "plugin.GRPCStdio",
		healthpb.Health_ServiceDesc.ServiceName, wire.Actor_ServiceDesc.ServiceName}, service)
}

// explainedStream is a stream whose end the fate explains.
type explainedStream struct {
	grpc.ClientStream
	end    *callEnd
	caller context.Context // the stream's own ends with it
	conn   *grpc.ClientConn
}

// RecvMsg receives a message.
func (s explainedStream) RecvMsg(m any) error {
	return s.end.explain(s.caller, s.conn, s.ClientStream.RecvMsg(m))
}

// explain adds to a broken connection why it broke. If the process was asked to
// end, that is known before; if it has died, a moment later.
func (e *callEnd) explain(caller context.Context, conn *grpc.ClientConn, err error) error {
	// What this host itself closes, after the end, gRPC calls cancelled.
	closed := status.Code(err) == codes.Canceled && caller.Err() == nil && e.over()
	if status.Code(err) != codes.Unavailable && !closed {
		return err
	}
	why := e.err()
	if why == nil && !e.overSoon(caller, conn) {
		return err
	}
	if e.over() {
		why = context.Cause(e.ctx)
	}
	return unavailable{fmt.Errorf("%w (%s)", why, status.Convert(err).Message())}
}

// overSoon waits for a reason that a connection may have broken for. One that is not
// broken after all has none: the program itself has said that it is unavailable.
func (e *callEnd) overSoon(caller context.Context, conn *grpc.ClientConn) bool {
	ctx, stop := context.WithTimeout(caller, deathBound)
	defer stop()
	soon, stopSoon := context.WithTimeout(ctx, drainBound)
	defer stopSoon()
	if conn.WaitForStateChange(soon, connectivity.Ready) {
		select {
		case <-e.ctx.Done():
		case <-ctx.Done():
		}
	}
	return e.over()
}

// unavailable gives an error gRPC's code for a peer that is not there.
type unavailable struct{ error }

// GRPCStatus is the error for gRPC.
func (u unavailable) GRPCStatus() *status.Status { return status.New(codes.Unavailable, u.Error()) }

func (u unavailable) Unwrap() error { return u.error }
