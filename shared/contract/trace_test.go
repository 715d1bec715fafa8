package contract_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

var spanOf = contract.Func[none, string]("span-of")

func TestP09_CalleeHasTheCallersSpan(t *testing.T) {
	p := pair.Serve(t, spanOf.Handle(func(ctx context.Context, _ none) (string, error) {
		span := trace.SpanContextFromContext(ctx)
		return span.TraceID().String() + " " + span.SpanID().String() + " " + span.TraceState().String(), nil
	}))
	state, err := trace.ParseTraceState("vendor=value")
	if err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	got, err := spanOf.Call(trace.ContextWithSpanContext(t.Context(), span), p, none{})
	if want := span.TraceID().String() + " " + span.SpanID().String() + " vendor=value"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
