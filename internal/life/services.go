package life

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// serviceCalls are the running calls of the plugin's own gRPC services. They are tasks of
// the actor: none begins before it is ready or after it was asked to end, all are
// cancelled when it ends, and it does not end before they have. The life of the actor owns
// it, and calls open and later end, each once at most; gRPC calls the rest on a goroutine
// for each call.
//
// running is added to under mu, together with the look at refused, and so never grows once
// end has begun to wait for it.
type serviceCalls struct {
	mu      sync.Mutex      // guards base, stop and refused
	base    context.Context // whose values the handlers see, and which ends them; nil before the actor is ready
	stop    context.CancelCauseFunc
	refused error // why no further call begins
	running sync.WaitGroup
}

// open lets calls begin.
func (c *serviceCalls) open(base context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.stop = context.WithCancelCause(base)
}

// end refuses further calls, for a reason that their callers see, cancels those that run
// and waits for them.
func (c *serviceCalls) end(refused, cause error) {
	c.mu.Lock()
	c.refused = refused
	c.mu.Unlock()
	c.stop(cause)
	c.running.Wait()
}

// ServerOptions are for the server of the program's own gRPC services: calls are tasks of the
// actor.
func (l *Life) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(l.calls.unary), grpc.ChainStreamInterceptor(l.calls.stream)}
}

// enter takes a call in, and gives the ctx for its handler. It derives from the call's
// ctx, so that its deadline and its metadata are there, and ends with either that or base.
// The caller must call leave, once.
func (c *serviceCalls) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.refused != nil:
		return nil, nil, status.Errorf(codes.Unavailable, "trellis: %v", c.refused)
	case c.base == nil:
		return nil, nil, status.Error(codes.Unavailable, "trellis: the actor is not ready yet")
	}
	c.running.Add(1)
	base := c.base
	ctx, cancel := context.WithCancelCause(valued{ctx, base})
	unlink := context.AfterFunc(base, func() { cancel(context.Cause(base)) })
	return ctx, func() {
		unlink()
		cancel(nil)
		c.running.Done()
	}, nil
}

// valued is a call's ctx that has the values of the actor's as well.
type valued struct {
	context.Context
	base context.Context
}

// Value looks in the call's ctx first.
func (v valued) Value(key any) any {
	if value := v.Context.Value(key); value != nil {
		return value
	}
	return v.base.Value(key)
}

// Run runs f on the caller's goroutine as a task of the actor, which has been booted and does
// not end before f has. f has a ctx as that of a handler, with the deadline, if there is one.
// What Run gives is how f has ended; on an actor that ends already, f is not run, and the cause
// says why.
func (l *Life) Run(deadline time.Time, f func(ctx context.Context) error) fault.Ending {
	call, cancel := context.Background(), context.CancelFunc(func() {})
	if !deadline.IsZero() {
		call, cancel = context.WithDeadline(call, deadline)
	}
	defer cancel()
	ctx, leave, err := l.calls.enter(call)
	if err != nil {
		return fault.Ending{Cause: l.ending.Cause()} // which was given before calls were refused
	}
	defer leave()
	return fault.EndingOf(ctx, f(ctx))
}

// unary runs a unary call as a task; go-plugin's and the runtime's own calls pass.
func (c *serviceCalls) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (reply any, err error) {
	if builtIn(info.FullMethod) {
		return handle(ctx, request)
	}
	err = c.run(ctx, info.FullMethod, func(ctx context.Context) (err error) {
		reply, err = handle(ctx, request)
		return err
	})
	return reply, err
}

// stream does the same for streams, whose ctx can only be changed by wrapping them.
func (c *serviceCalls) stream(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if builtIn(info.FullMethod) {
		return handle(server, s)
	}
	return c.run(s.Context(), info.FullMethod, func(ctx context.Context) error { return handle(server, serviceStream{s, ctx}) })
}

// run runs a handler as a task of the actor. Its panic is an error to the caller, as that
// of an endpoint is, and the stack goes to the log only. gRPC would let the whole process
// die of it.
//
// A handler that returns context.Canceled because the actor ends, and not because its
// caller has gone, is reported as Unavailable with the reason: Canceled would tell the
// caller that it had cancelled the call itself.
func (c *serviceCalls) run(call context.Context, method string, handler func(ctx context.Context) error) error {
	ctx, leave, err := c.enter(call)
	if err != nil {
		return err
	}
	defer leave()
	err = panics.Isolate(func() error { return panics.Catch(func() error { return handler(ctx) }) })
	if p, panicked := errors.AsType[*fault.PanicError](err); panicked {
		slog.ErrorContext(ctx, "a service has panicked", "method", method, "error", err, "stack", p.Stack)
		return status.Errorf(codes.Internal, "%s: %v", method, err)
	}
	if errors.Is(err, fault.ErrGoexit) {
		return status.Errorf(codes.Internal, "%s: %v", method, err)
	}
	if call.Err() == nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return status.Errorf(codes.Unavailable, "%s: %v", method, context.Cause(ctx))
	}
	return err
}

// serviceStream is a stream whose handler sees the actor's ctx.
type serviceStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is the handler's ctx.
func (s serviceStream) Context() context.Context { return s.ctx }

// builtInServices are go-plugin's and this package's on the main connection.
var builtInServices = []string{"plugin.GRPCBroker", "plugin.GRPCController", "plugin.GRPCStdio", wire.Actor_ServiceDesc.ServiceName}

// builtIn reports whether a method belongs to go-plugin or to the runtime. Such calls come
// before the actor is ready, as Boot does, or while it ends, as health checks do, and pass
// unchanged.
func builtIn(method string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return slices.Contains(builtInServices, service) || strings.HasPrefix(service, "grpc.health.") || strings.HasPrefix(service, "grpc.reflection.")
}
