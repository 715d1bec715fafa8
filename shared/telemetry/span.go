package telemetry

import (
	"log/slog"
	"strings"
	"time"
)

// Span is something that an actor has done, from its beginning to its end: one side of a call
// or of a context, or what a host has done with an actor. Spans that have to do with each
// other have one trace, and say which of them they belong to. Like a [Record] it is a copy,
// whose texts are the actor's word, apart from Actor.
type Span struct {
	Time     time.Time     `json:"time"`     // when it began
	Duration time.Duration `json:"duration"` // in nanoseconds
	// Actor is the path of the actor, as in directory.Event; "" is the root of the tree. A
	// start or an end is the actor's whom its host starts or ends.
	Actor string `json:"actor,omitempty"`
	// Name is what was done, as in "call parser/parse".
	Name string   `json:"name"`
	Kind SpanKind `json:"kind"`
	// Trace, Span and Parent are in hex, as W3C's trace context has them. Parent is empty in
	// the first span of a trace.
	Trace  string `json:"trace"`
	Span   string `json:"span"`
	Parent string `json:"parent,omitempty"`
	State  string `json:"state,omitempty"` // W3C's tracestate

	Status Status `json:"status"`
	// Error is the failure in one line.
	Error string `json:"error,omitempty"`
	// Type is the name by which errors that cross processes are known, such as
	// "trellis.ActorDied" or "io.EOF", or else the type that the error has in the language
	// of its actor.
	Type string `json:"type,omitempty"`

	// Service and Method are the name of the callee's actor and the endpoint; empty if it is
	// not of a call.
	Service string `json:"service,omitempty"`
	Method  string `json:"method,omitempty"`
	// Sent and Received are what has gone over the stream, as this side has seen it.
	Sent     Traffic     `json:"sent,omitzero"`
	Received Traffic     `json:"received,omitzero"`
	Events   []SpanEvent `json:"events,omitempty"`
	Fields   []Field     `json:"fields,omitempty"`
}

// SpanKind is which side of a call a span is.
type SpanKind string

// The kinds.
const (
	Client   SpanKind = "client"
	Server   SpanKind = "server"
	Internal SpanKind = "internal" // it is neither
)

// Status is how a span has ended.
type Status string

// How spans end.
const (
	OK        Status = "ok"
	Cancelled Status = "cancelled" // somebody wanted the end
	Deadline  Status = "deadline"  // its time was over
	Failed    Status = "error"
)

// Traffic counts the messages of one direction of a stream, and the bytes in them.
type Traffic struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// SpanEvent is a moment in a span: a message of a stream, the 1st, the 10th, the 100th and so
// on; a step of a start or of a teardown.
type SpanEvent struct {
	Time   time.Time `json:"time"`
	Name   string    `json:"name"`
	Fields []Field   `json:"fields,omitempty"`
}

// Attributes are the fields, with what else the span says by the names of OpenTelemetry's
// conventions.
func (s *Span) Attributes() []Field {
	fields := []Field{{"trellis.actor", s.Actor}}
	if s.Method != "" {
		fields = append(fields, Field{"rpc.system", "trellis"}, Field{"rpc.service", s.Service}, Field{"rpc.method", s.Method})
	}
	if s.Type != "" {
		fields = append(fields, Field{"error.type", s.Type})
	}
	for _, way := range []struct {
		name string
		Traffic
	}{{"sent", s.Sent}, {"received", s.Received}} {
		if way.Messages > 0 {
			fields = append(fields, Field{"trellis.messages." + way.name, way.Messages}, Field{"trellis.bytes." + way.name, way.Bytes})
		}
	}
	return append(fields, s.Fields...)
}

// String is the span in one line, as in `client call parser/parse 1.2ms error="file not found"`.
func (s *Span) String() string {
	var out strings.Builder
	out.WriteString(string(s.Kind) + " " + s.Name + " " + s.Duration.String())
	if s.Status != OK {
		out.WriteString(" " + string(s.Status) + "=" + bare(s.Error))
	}
	for _, f := range s.Fields {
		out.WriteString(f.String())
	}
	return out.String()
}

// level is what [Filter.Level] is compared with: a failure is an error.
func (s *Span) level() slog.Level {
	if s.Status == Failed || s.Status == Deadline {
		return slog.LevelError
	}
	return slog.LevelInfo
}
