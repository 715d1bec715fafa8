package contract

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Metadata is what a caller sends along with every call: small texts for the callee's ctx,
// such as a tenant or a request id. A call with more than 4,096 of them, or 1 MiB in all, or
// with text that is not valid UTF-8, is refused.
type Metadata map[string]string

type metadataKey struct{}

// WithMetadata returns a ctx whose calls, sources and contexts carry m, in the place of
// what ctx carried before. m is not copied: leave it as it is from then on.
func WithMetadata(ctx context.Context, m Metadata) context.Context {
	return context.WithValue(ctx, metadataKey{}, m)
}

// MetadataFrom returns what [WithMetadata] put into ctx; in a handler, what its caller
// sent. Calls made with a handler's ctx pass it on. It is nil if there is none.
func MetadataFrom(ctx context.Context) Metadata {
	m, _ := ctx.Value(metadataKey{}).(Metadata)
	return m
}

// arrive gives a handler's ctx what came with the call: metadata, and the caller's span.
func arrive(ctx context.Context, start *wire.Start) context.Context {
	if start.Traceparent != "" {
		ctx = tracing.Extract(ctx, propagation.MapCarrier{"traceparent": start.Traceparent, "tracestate": start.Tracestate})
	}
	if len(start.Metadata) == 0 {
		return ctx
	}
	return WithMetadata(ctx, start.Metadata)
}

// tracing carries a caller's span to the callee, in the W3C form. A program that does not
// trace has no span in its ctx, and nothing is sent.
var tracing propagation.TraceContext

// traced puts the span of ctx into a request.
func traced(ctx context.Context, r *dialog.Request) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	carrier := propagation.MapCarrier{}
	tracing.Inject(ctx, carrier)
	r.TraceParent, r.TraceState = carrier["traceparent"], carrier["tracestate"]
}
