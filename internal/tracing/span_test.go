package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

func within(t *testing.T, sampled trace.TraceFlags) trace.SpanContext {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=value")
	if err != nil {
		t.Fatal(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: sampled, TraceState: state})
}

// read is a span as people read it.
func read(s tracing.Ended) telemetry.Span { return s.Telemetry() }

// started is the START of a call.
func started(client *tracing.Span, within trace.SpanContext) *wire.Start {
	s := &wire.Start{}
	client.Write(s, within)
	return s
}

// O03: a span belongs to the one that it was begun in, here and in another process.
func TestO03_ATraceGoesOnInTheCallee(t *testing.T) {
	sink := tracing.Sink(func(tracing.Ended) {})
	outer := within(t, trace.FlagsSampled)
	client := sink.Client(outer)
	server := sink.Server(started(client, outer))
	if got := trace.SpanContextFromContext(server.In(t.Context())); got.TraceID() != outer.TraceID() || got.TraceState().String() != "vendor=value" || !got.IsSampled() || got.IsRemote() {
		t.Errorf("O03: the callee is in %v", got)
	}
	c, s := read(client.End(nil)), read(server.End(nil))
	if c.Parent != outer.SpanID().String() || s.Parent != c.Span || s.Trace != c.Trace || s.Span == c.Span {
		t.Errorf("O03: the caller has %+v and the callee %+v", c, s)
	}
	if client.End(nil).Numbers != nil {
		t.Error("O03: a span ends twice")
	}
	if fresh := read(sink.Client(trace.SpanContext{}).End(nil)); fresh.Parent != "" || len(fresh.Trace) != 32 || len(fresh.Span) != 16 {
		t.Errorf("O03: a trace begins with %+v", fresh)
	}
}

// O03: of a trace that is not sampled, or where nobody keeps spans, nothing is made, and who
// is called is told the same as without.
func TestO03_NothingIsMadeForNobody(t *testing.T) {
	sink, outer := tracing.Sink(func(tracing.Ended) {}), within(t, 0)
	called := started(nil, outer)
	for name, s := range map[string]*tracing.Span{
		"a caller":          sink.Client(outer),
		"a callee":          sink.Server(called),
		"no one that keeps": tracing.To(records.New("", 1, 0, nil), "").Client(trace.SpanContext{}),
	} {
		s.Event("started")
		s.Sent(1)
		s.Received(1)
		if s != nil || s.End(nil).Numbers != nil || s.In(t.Context()) != t.Context() || s.Context().IsValid() {
			t.Errorf("O03: %s has a span", name)
		}
	}
	if got := tracing.Read(called); got.SpanID() != outer.SpanID() || got.IsSampled() {
		t.Errorf("O03: the callee of a trace that is not sampled is in %v", got)
	}
	for _, none := range []*wire.Start{{}, {TraceHigh: 1, Sampled: true}, {Span: 1, Sampled: true, Tracestate: "a=b"}} {
		if got := tracing.Read(none); got.IsValid() {
			t.Errorf("O03: %v is %v", none, got)
		}
	}
	if got := tracing.Read(&wire.Start{TraceLow: 1, Span: 1, Tracestate: "?"}); !got.IsValid() || got.TraceState().Len() != 0 {
		t.Errorf("O03: of a state that is none there is %v", got)
	}
}

// O03: a stream is counters, and an event at the 1st message, the 10th, the 100th.
func TestO03_AStreamIsCountersAndAFewEvents(t *testing.T) {
	s := tracing.Sink(func(tracing.Ended) {}).Client(trace.SpanContext{})
	for range 1234 {
		s.Sent(2)
	}
	s.Received(7)
	ended := read(s.End(nil))
	if ended.Sent != (telemetry.Traffic{Messages: 1234, Bytes: 2468}) || ended.Received != (telemetry.Traffic{Messages: 1, Bytes: 7}) {
		t.Errorf("O03: %+v and %+v", ended.Sent, ended.Received)
	}
	got := ""
	for _, e := range ended.Events {
		got += e.Name + e.Fields[0].String() + "; "
	}
	if want := "sent messages=1; sent messages=10; sent messages=100; sent messages=1000; received messages=1; "; got != want {
		t.Errorf("O03: the events are %q, want %q", got, want)
	}
	full := tracing.Sink(func(tracing.Ended) {}).Client(trace.SpanContext{})
	for range 1000 {
		full.Event("x")
	}
	if ended := read(full.End(nil)); len(ended.Events) > 100 {
		t.Errorf("O03: a span keeps %d events", len(ended.Events))
	}
}

// O03: the status says whether somebody wanted the end, or time was over, or what kind of
// error it was, after any number of hops.
func TestO03_TheStatusIsThatOfTheError(t *testing.T) {
	self := actor.NewID("a")
	for _, c := range []struct {
		err  error
		want telemetry.Status
		kind string
	}{
		{nil, telemetry.OK, ""},
		{context.DeadlineExceeded, telemetry.Deadline, "context.DeadlineExceeded"},
		{fmt.Errorf("it: %w", context.Canceled), telemetry.Cancelled, "context.Canceled"},
		{&fault.ContextCancelled{Canceller: self, Reason: "enough"}, telemetry.Cancelled, "trellis.ContextCancelled"},
		{errors.Join(context.Canceled, errors.New("and more")), telemetry.Failed, "*errors.joinError"},
		{&fault.ActorDied{ID: self}, telemetry.Failed, "trellis.ActorDied"},
		{errors.New("first\nsecond"), telemetry.Failed, "*errors.errorString"},
	} {
		for range 2 {
			s := read(tracing.Sink(func(tracing.Ended) {}).Client(trace.SpanContext{}).End(fault.Pack(c.err, self)))
			if s.Status != c.want || s.Type != c.kind || (c.err != nil) != (s.Error != "") || len(s.Error) > 1000 || s.Error == "first\nsecond" {
				t.Errorf("O03: %v is %q, %q of type %q; want %q, %q", c.err, s.Status, s.Error, s.Type, c.want, c.kind)
			}
			if c.err != nil {
				c.err = fault.Unpack(fault.Pack(c.err, self))
			}
		}
	}
}
