package contract

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// tracing carries a caller's span to the callee, in the W3C form. A program that
// does not trace has no span in its ctx, and nothing is sent.
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

// withSpan gives a handler's ctx the span that its caller had.
func withSpan(ctx context.Context, start *wire.Start) context.Context {
	if start.Traceparent == "" {
		return ctx
	}
	return tracing.Extract(ctx, propagation.MapCarrier{"traceparent": start.Traceparent, "tracestate": start.Tracestate})
}
