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
type fate struct {
	ctx context.Context // ends when calls in flight fail, with the reason as cause
	end context.CancelCauseFunc

	mu      sync.Mutex
	closing error // why new calls fail
}

// newFate makes the fate of a process, whose ctx has the values of base.
func newFate(base context.Context) *fate {
	f := &fate{}
	f.ctx, f.end = context.WithCancelCause(context.WithoutCancel(base))
	return f
}

// refuse fails new calls. Only the first reason counts.
func (f *fate) refuse(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing == nil {
		f.closing = why
	}
}

// seal fails all calls. Only the first reason counts.
func (f *fate) seal(why error) {
	f.refuse(why)
	f.end(why)
}

// isSealed tells that the process is over, though it may not be reaped yet.
func (f *fate) isSealed() bool { return f.ctx.Err() != nil }

// err is why a new call fails, nil if it does not.
func (f *fate) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing
}

// dialOptions make calls over the connection end with the fate.
func (f *fate) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithIdleTimeout(0), // a connection that nobody uses is no broken one
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostOfTheirs)), // go-plugin's own is 2 GiB
		grpc.WithChainUnaryInterceptor(f.unary), grpc.WithChainStreamInterceptor(f.stream),
	}
}

func (f *fate) unary(ctx context.Context, method string, args, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, o ...grpc.CallOption) error {
	if ours(method) {
		return call(ctx, method, args, reply, conn, ownCall(o)...)
	}
	return f.explain(ctx, conn, call(ctx, method, args, reply, conn, o...))
}

func (f *fate) stream(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
	if ours(method) {
		o = ownCall(o)
	}
	s, err := open(ctx, d, conn, method, o...)
	switch {
	case err == nil && method == brokerStream:
		return &paced{ClientStream: s}, nil
	case ours(method):
		return s, err
	}
	if err != nil {
		return nil, f.explain(ctx, conn, err)
	}
	return fatedStream{s, f, ctx, conn}, nil
}

// ours tells calls of go-plugin and of this package from the application's.
func ours(method string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return slices.Contains([]string{"plugin.GRPCBroker", "plugin.GRPCController", "plugin.GRPCStdio",
		healthpb.Health_ServiceDesc.ServiceName, wire.Actor_ServiceDesc.ServiceName}, service)
}

// fatedStream is a stream whose end the fate explains.
type fatedStream struct {
	grpc.ClientStream
	fate   *fate
	caller context.Context // the stream's own ends with it
	conn   *grpc.ClientConn
}

// RecvMsg receives a message.
func (s fatedStream) RecvMsg(m any) error {
	return s.fate.explain(s.caller, s.conn, s.ClientStream.RecvMsg(m))
}

// explain adds to a broken connection why it broke. If the process was asked to
// end, that is known before; if it has died, a moment later.
func (f *fate) explain(caller context.Context, conn *grpc.ClientConn, err error) error {
	// What this host itself closes, after the end, gRPC calls cancelled.
	closed := status.Code(err) == codes.Canceled && caller.Err() == nil && f.isSealed()
	if status.Code(err) != codes.Unavailable && !closed {
		return err
	}
	why := f.err()
	if why == nil && !f.sealedSoon(caller, conn) {
		return err
	}
	if f.isSealed() {
		why = context.Cause(f.ctx)
	}
	return unavailable{fmt.Errorf("%w (%s)", why, status.Convert(err).Message())}
}

// sealedSoon waits for a reason that a connection may have broken for. One that is not
// broken after all has none: the program itself has said that it is unavailable.
func (f *fate) sealedSoon(caller context.Context, conn *grpc.ClientConn) bool {
	ctx, stop := context.WithTimeout(caller, lastBreath)
	defer stop()
	soon, stopSoon := context.WithTimeout(ctx, lastFrames)
	defer stopSoon()
	if conn.WaitForStateChange(soon, connectivity.Ready) {
		select {
		case <-f.ctx.Done():
		case <-ctx.Done():
		}
	}
	return f.isSealed()
}

// unavailable gives an error gRPC's code for a peer that is not there.
type unavailable struct{ error }

// GRPCStatus is the error for gRPC.
func (u unavailable) GRPCStatus() *status.Status { return status.New(codes.Unavailable, u.Error()) }

func (u unavailable) Unwrap() error { return u.error }
