package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Sink takes the spans of one actor when they have ended. It never waits. nil: nobody keeps
// them, and none are made.
type Sink func(s *telemetry.Span)

// To takes the spans of the actor at a path; nil if the source keeps none.
func To(s telemetry.Source, at string) Sink {
	if !s.KeepsSpans() {
		return nil
	}
	return func(span *telemetry.Span) {
		if span.Actor == "" {
			span.Actor = at
		}
		s.PutSpans(0, span)
	}
}

// Span is one that lasts. Nobody guards it but who has made it. nil is one that nobody keeps:
// all methods do nothing then.
type Span struct {
	// kept is what will be handed on, without a copy: a call has two of them, and their memory is
	// most of what they cost.
	kept    telemetry.Span
	context trace.SpanContext
	parent  trace.SpanID
	header  string // that of the span, if it was asked for
	from    string // that of the parent, if it has come with a call
	over    bool
}

// mostEvents bounds what a span keeps, as the records do.
const mostEvents = 32

// Client begins the span of who calls within another span: in the trace of that, or in a new
// one. It is nil if the trace is not sampled.
func (to Sink) Client(within trace.SpanContext) *Span {
	if to == nil {
		return nil
	}
	return begin(telemetry.Client, within)
}

// Server begins the span of who is called, of what has come with the call.
func (to Sink) Server(parent, state string) *Span {
	if to == nil {
		return nil
	}
	s := begin(telemetry.Server, Parse(parent, state))
	if s != nil && s.parent.IsValid() {
		s.from = parent
	}
	return s
}

// Internal begins a span within another one, or a trace, of what nobody has called.
func (to Sink) Internal(within trace.SpanContext) *Span {
	if to == nil {
		return nil
	}
	return begin(telemetry.Internal, within)
}

// Untraced is a ctx whose calls make no spans, here or where they arrive.
func Untraced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 1}}))
}

// begin begins a span within another one, or a trace if there is none. What is not sampled has no
// span: whoever began the trace has decided that, and not this actor. Ids are random, and need not be
// secret.
func begin(kind telemetry.SpanKind, within trace.SpanContext) *Span {
	switch {
	case !within.IsValid():
		var id trace.TraceID
		binary.NativeEndian.PutUint64(id[:8], random())
		binary.NativeEndian.PutUint64(id[8:], random())
		within = trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, TraceFlags: trace.FlagsSampled})
	case !within.IsSampled():
		return nil
	}
	var id trace.SpanID
	binary.NativeEndian.PutUint64(id[:], random())
	return &Span{context: within.WithSpanID(id).WithRemote(false), parent: within.SpanID(), kept: telemetry.Span{Kind: kind, Time: time.Now()}}
}

// random is a part of an id, and not 0.
func random() uint64 { return rand.Uint64() | 1 } //nolint:gosec // ids need not be secret

// Context is where spans within this one belong.
func (s *Span) Context() (c trace.SpanContext) {
	if s != nil {
		c = s.context
	}
	return c
}

// In is a ctx within the span.
func (s *Span) In(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, s.context)
}

// Header is what a call says of the span that it belongs to: this one, or else the one that
// its caller is in.
func (s *Span) Header(within trace.SpanContext) (parent, state string) {
	if s == nil {
		return header(within), within.TraceState().String()
	}
	s.header = header(s.context)
	return s.header, s.context.TraceState().String()
}

// The places of the ids in a header, in the form of W3C's trace context; and the size of one.
const (
	traceAt, traceEnd = 3, 35
	spanAt, spanEnd   = 36, 52
	headerSize        = 55
)

// header is empty if there is no span.
func header(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	text := make([]byte, 0, headerSize)
	id, span := c.TraceID(), c.SpanID()
	text = hex.AppendEncode(append(text, "00-"...), id[:])
	text = hex.AppendEncode(append(text, '-'), span[:])
	return string(append(text, '-', '0', '0'+byte(c.TraceFlags()&1))) // whether it is sampled
}

// Parse is the span that a call has come from; not a valid one if it says none. Most say it in
// the form that header has, and what that costs counts.
func Parse(parent, state string) trace.SpanContext {
	var c trace.SpanContextConfig
	if len(parent) == headerSize && state == "" && parent[:3] == "00-" && parent[traceEnd] == '-' && parent[spanEnd:headerSize-1] == "-0" && parent[headerSize-1]|1 == '1' {
		_, bad := hex.Decode(c.TraceID[:], []byte(parent[traceAt:traceEnd]))
		_, worse := hex.Decode(c.SpanID[:], []byte(parent[spanAt:spanEnd]))
		if bad == nil && worse == nil {
			c.TraceFlags, c.Remote = trace.TraceFlags(parent[headerSize-1]-'0'), true
			return trace.NewSpanContext(c)
		}
	}
	if parent == "" {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": parent, "tracestate": state}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// Event notes a moment.
func (s *Span) Event(name string, fields ...telemetry.Field) {
	if s != nil && !s.over && len(s.kept.Events) < mostEvents {
		s.kept.Events = append(s.kept.Events, telemetry.SpanEvent{Time: time.Now(), Name: name, Fields: fields})
	}
}

// Sent counts a message that this side has sent.
func (s *Span) Sent(bytes int) {
	if s != nil && !s.over && count(&s.kept.Sent, bytes) {
		s.Event("sent", telemetry.Field{Key: "messages", Value: s.kept.Sent.Messages})
	}
}

// Received counts one that this side has taken.
func (s *Span) Received(bytes int) {
	if s != nil && !s.over && count(&s.kept.Received, bytes) {
		s.Event("received", telemetry.Field{Key: "messages", Value: s.kept.Received.Messages})
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

// End is the span when it is over, which does not change any more then but by whoever has
// called End; nil if it was before. f is what has failed.
func (s *Span) End(f *wire.Fault) *telemetry.Span {
	if s == nil || s.over {
		return nil
	}
	s.over = true
	ended := &s.kept
	ended.Duration, ended.State = time.Since(ended.Time), s.context.TraceState().String()
	s.ids(ended)
	ended.Status, ended.Error, ended.Type = status(f)
	return ended
}

// ids are those of the span. What is a part of a header is taken from there.
func (s *Span) ids(to *telemetry.Span) {
	own := s.header
	if own == "" {
		own = header(s.context)
	}
	to.Trace, to.Span = own[traceAt:traceEnd], own[spanAt:spanEnd]
	switch {
	case s.from != "":
		to.Parent = s.from[spanAt:spanEnd]
	case s.parent.IsValid():
		to.Parent = s.parent.String()
	}
}

// status is how a span has ended that has failed with f.
func status(f *wire.Fault) (as telemetry.Status, line, kind string) {
	root := f.Root()
	switch {
	case root == nil:
		return telemetry.OK, "", ""
	case fault.IsDeadline(f):
		as = telemetry.Deadline
	case fault.IsCancelled(f):
		as = telemetry.Cancelled
	default:
		as = telemetry.Failed
	}
	line, _, _ = strings.Cut(root.Message, "\n")
	return as, line, typeOf(f.Nodes)
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
