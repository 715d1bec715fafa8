package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Sink takes the spans of one actor when they have ended. It never waits. nil: nobody keeps
// them, and none are made.
type Sink func(s Ended)

// To takes the spans of the actor at a path; nil if the source keeps none.
func To(s telemetry.Source, at string) Sink {
	if !s.KeepsSpans() {
		return nil
	}
	keeper, is := s.(own)
	return func(span Ended) {
		if span.Actor == "" {
			span.Actor = at
		}
		if is {
			keeper.KeepSpan(0, span) // nobody needs to doubt its times
		} else {
			Put(s, 0, span)
		}
	}
}

// Span is one that lasts. Nobody guards it but who has made it. nil is one that nobody keeps:
// all methods do nothing then.
type Span struct {
	trace.Span // for scope, a [noop.Span]: as an interface, since it is five times as large

	// kept is what will be handed on. A call has two spans, and their memory counts: what few have is
	// apart. Its ids do not change. Its Duration is when it began, since Started, until it has ended.
	kept  Numbers
	rest  *Rest             // nil if there is none yet
	state *trace.TraceState // nil if there is none
	over  bool
}

var nothing trace.Span = noop.Span{}

// mostEvents bounds what a span keeps, as the records do.
const mostEvents = 32

// Client begins the span of who calls within another span: in the trace of that, or in a new
// one. It is nil if the trace is not sampled.
func (to Sink) Client(within trace.SpanContext) *Span {
	if to == nil {
		return nil
	}
	return begin(KindClient, within)
}

// Server begins the span of who is called, of what has come with the call.
func (to Sink) Server(called *wire.Start) *Span {
	if to == nil {
		return nil
	}
	return begin(KindServer, Read(called))
}

// Internal begins a span within another one, or a trace, of what nobody has called.
func (to Sink) Internal(within trace.SpanContext) *Span {
	if to == nil {
		return nil
	}
	return begin(KindInternal, within)
}

// Untraced is a ctx whose calls make no spans, here or where they arrive.
func Untraced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 1}}))
}

// begin begins a span within another one, or a trace if there is none. What is not sampled has no
// span: whoever began the trace has decided that, and not this actor. Ids are random, and need not be
// secret.
func begin(kind uint8, within trace.SpanContext) *Span {
	if within.IsValid() && !within.IsSampled() {
		return nil
	}
	now := time.Since(Started)
	s := &Span{Span: nothing}
	s.kept.Kind, s.kept.Time, s.kept.Duration = kind, wall(now), now
	if within.IsValid() {
		s.kept.Trace, s.kept.Parent = within.TraceID(), within.SpanID()
		if within.TraceState().Len() > 0 {
			state := within.TraceState() // in memory of its own only here
			s.state = &state
		}
	} else {
		binary.NativeEndian.PutUint64(s.kept.Trace[:8], random())
		binary.NativeEndian.PutUint64(s.kept.Trace[8:], random())
	}
	binary.NativeEndian.PutUint64(s.kept.ID[:], random())
	return s
}

// random is a part of an id, and not 0.
func random() uint64 { return rand.Uint64() | 1 } //nolint:gosec // ids need not be secret

// Began is when the span began, since [Started]; now, if nobody keeps it.
func (s *Span) Began() time.Duration {
	if s == nil {
		return time.Since(Started)
	}
	return s.kept.Duration
}

// Context is where spans within this one belong.
func (s *Span) Context() (c trace.SpanContext) {
	if s != nil {
		c = (*scope)(s).SpanContext()
	}
	return c
}

// scope is a span as OpenTelemetry finds it in a ctx: one that records nothing of what authors
// say to it, and has ids.
type scope Span

// SpanContext is that of [trace.Span].
func (s *scope) SpanContext() trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: s.kept.Trace, SpanID: s.kept.ID, TraceFlags: trace.FlagsSampled}
	if s.state != nil {
		c.TraceState = *s.state
	}
	return trace.NewSpanContext(c)
}

// In is a ctx within the span.
func (s *Span) In(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, (*scope)(s))
}

// Value is what a ctx within the span has for OpenTelemetry.
func (s *Span) Value(key any) any {
	if s == nil || key != spanKey {
		return nil
	}
	return (*scope)(s)
}

// spanKey is where OpenTelemetry has the span of a ctx. It does not export it, but asks for it.
var spanKey = func() any {
	asked := &asking{Context: context.Background()}
	trace.SpanFromContext(asked)
	return asked.key
}()

type asking struct {
	context.Context
	key any
}

func (a *asking) Value(key any) any {
	a.key = key
	return nil
}

// Write says in a START within which span it is made: this one, or else the one that its caller is in.
func (s *Span) Write(to *wire.Start, within trace.SpanContext) {
	id, span, sampled := within.TraceID(), within.SpanID(), within.IsSampled()
	if s != nil {
		id, span, sampled = s.kept.Trace, s.kept.ID, true
	} else if !within.IsValid() {
		return
	}
	to.TraceHigh, to.TraceLow, to.Span = binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:]), binary.BigEndian.Uint64(span[:])
	to.Sampled, to.Tracestate = sampled, within.TraceState().String()
}

// Read is the span that a START has come from; not a valid one if it says none. A state that is not of W3C's
// form is left out.
func Read(from *wire.Start) trace.SpanContext {
	if from.Span == 0 {
		return trace.SpanContext{}
	}
	c := trace.SpanContextConfig{Remote: true, TraceFlags: trace.TraceFlags(0).WithSampled(from.Sampled)}
	binary.BigEndian.PutUint64(c.TraceID[:8], from.TraceHigh)
	binary.BigEndian.PutUint64(c.TraceID[8:], from.TraceLow)
	binary.BigEndian.PutUint64(c.SpanID[:], from.Span)
	if from.Tracestate != "" {
		c.TraceState, _ = trace.ParseTraceState(from.Tracestate) // empty, if it cannot be parsed
	}
	return trace.NewSpanContext(c)
}

// Event notes a moment.
func (s *Span) Event(name string, fields ...telemetry.Field) {
	if s == nil || s.over {
		return
	}
	if rest := s.more(); len(rest.Events) < mostEvents {
		rest.Events = append(rest.Events, telemetry.SpanEvent{Time: time.Now(), Name: name, Fields: fields})
	}
}

func (s *Span) more() *Rest {
	if s.rest == nil {
		s.rest = &Rest{}
	}
	return s.rest
}

// Sent counts a message that this side has sent.
func (s *Span) Sent(bytes int) {
	if s != nil && !s.over && count(&s.more().Sent, bytes) {
		s.Event("sent", telemetry.Field{Key: "messages", Value: s.rest.Sent.Messages})
	}
}

// Received counts one that this side has taken.
func (s *Span) Received(bytes int) {
	if s != nil && !s.over && count(&s.more().Received, bytes) {
		s.Event("received", telemetry.Field{Key: "messages", Value: s.rest.Received.Messages})
	}
}

// count reports whether it is the 1st message, the 10th, the 100th, and so on.
func count(t *telemetry.Traffic, bytes int) bool {
	t.Messages++
	t.Bytes += int64(bytes)
	n := t.Messages
	for n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// End is the span when it is over, which does not change any more then; without Numbers if it was
// before, or nobody keeps it. f is what has failed.
func (s *Span) End(f *wire.Fault) (ended Ended) {
	if s == nil || s.over {
		return ended
	}
	s.over = true
	s.kept.Duration = time.Since(Started) - s.kept.Duration
	if s.state != nil {
		s.more().State = s.state.String()
	}
	if root := f.Root(); root != nil {
		s.kept.Status = statusOf(f)
		rest := s.more()
		rest.Error, _, _ = strings.Cut(root.Message, "\n")
		rest.Type = typeOf(f.Nodes)
	}
	return Ended{&s.kept, Words{Rest: s.rest}}
}

func statusOf(f *wire.Fault) uint8 {
	switch {
	case fault.IsDeadline(f):
		return StatusDeadline
	case fault.IsCancelled(f):
		return StatusCancelled
	}
	return StatusFailed
}

// typeOf is the name by which an error is known everywhere, or else its type: its own, or that
// of the one error that it wraps.
func typeOf(nodes []*wire.Node) string {
	for i := 0; ; {
		if nodes[i].Name != "" {
			return nodes[i].Name
		}
		only, causes := 0, 0
		for at, n := range nodes {
			if at > i && int(n.Parent) == i && !n.Also {
				only = at
				causes++
			}
		}
		if i = only; causes != 1 {
			return nodes[0].Type
		}
	}
}
