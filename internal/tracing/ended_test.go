package tracing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// O03: a span says the same when it was kept, and a call has its name from its parts; ids and kinds that are none say nothing.
func TestO03_WhatIsKeptOfASpan(t *testing.T) {
	whole := telemetry.Span{
		Time: time.Unix(1, 2).UTC(), Duration: time.Second, Actor: "a/b", Name: "restart b", Kind: telemetry.Server, Trace: strings.Repeat("0a", 16), Span: strings.Repeat("0b", 8),
		Parent: strings.Repeat("0c", 8), State: "a=b", Status: telemetry.Deadline, Error: "too late", Type: "io.EOF", Service: "b", Method: "m", Sent: telemetry.Traffic{Messages: 1, Bytes: 2},
		Received: telemetry.Traffic{Messages: 3, Bytes: 4}, Events: []telemetry.SpanEvent{{Name: "sent"}}, Fields: []telemetry.Field{{Key: "n", Value: int64(1)}},
	}
	kept := tracing.Of(&whole)
	if diff := cmp.Diff(whole, kept.Telemetry()); diff != "" {
		t.Errorf("O03: %s", diff)
	}
	call := tracing.Ended{Numbers: &tracing.Numbers{}, Words: tracing.Words{Verb: "call ", Service: "parser", Method: "parse"}}
	if got := call.Telemetry(); got.Name != "call parser/parse" || got.Trace+got.Span+got.Parent != "" || got.Kind != telemetry.Internal || got.Status != telemetry.OK {
		t.Errorf("O03: %+v", got)
	}
	odd := tracing.Of(&telemetry.Span{Trace: strings.Repeat("z", 32), Span: "0b", Parent: strings.Repeat("0c", 9), Kind: "?", Status: "?"})
	odd.Kind, odd.Status = 200, 200
	if got := odd.Telemetry(); got.Trace+got.Span+got.Parent != "" || got.Status != telemetry.Failed {
		t.Errorf("O03: %+v", got)
	}
}
