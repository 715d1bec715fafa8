package tracing

import (
	"encoding/hex"
	"time"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Ended is a [telemetry.Span] as it is kept, and told over a link: most spans are a few numbers, and what
// people read of them, ids in hex and a name, is made when somebody reads it.
type Ended struct {
	*Numbers
	Words
}

// Numbers are what spans differ in. They have no pointers, so that the collector need not look at those that are kept.
type Numbers struct {
	Time         int64 // nanoseconds since 1970
	Duration     time.Duration
	Trace        [16]byte
	ID, Parent   [8]byte
	Kind, Status uint8 // places in kinds and in statuses
}

// Words are the rest of a span: the same in all that are of one endpoint, but for what has a Rest.
type Words struct {
	Actor string `json:"actor,omitempty"`
	// Verb is what the name of a call begins with, such as "serve "; Service and Method are the rest of it.
	Verb    string `json:"verb,omitempty"`
	Service string `json:"service,omitempty"`
	Method  string `json:"method,omitempty"`
	Rest    *Rest  `json:"rest,omitempty"`
}

// Rest is what few spans have.
type Rest struct {
	Name     string                `json:"name,omitempty"` // if it is not Verb, Service and Method
	State    string                `json:"state,omitempty"`
	Error    string                `json:"error,omitempty"`
	Type     string                `json:"type,omitempty"`
	Events   []telemetry.SpanEvent `json:"events,omitempty"`
	Fields   []telemetry.Field     `json:"fields,omitempty"`
	Sent     telemetry.Traffic     `json:"sent,omitzero"`
	Received telemetry.Traffic     `json:"received,omitzero"`
}

var (
	kinds    = []telemetry.SpanKind{telemetry.Internal, telemetry.Client, telemetry.Server}
	statuses = []telemetry.Status{telemetry.OK, telemetry.Cancelled, telemetry.Deadline, telemetry.Failed}
)

// Places of kinds, and of statuses.
const (
	KindInternal uint8 = iota
	KindClient
	KindServer

	StatusOK uint8 = iota - 3
	StatusCancelled
	StatusDeadline
	StatusFailed
)

// More is the rest of the span, which is made if there is none.
func (s *Words) More() *Rest {
	if s.Rest == nil {
		s.Rest = &Rest{}
	}
	return s.Rest
}

// Of is a span as it is kept. Ids that are none are left out.
func Of(t *telemetry.Span) Ended {
	s := Ended{
		&Numbers{Time: t.Time.UnixNano(), Duration: t.Duration, Status: StatusFailed},
		Words{Actor: t.Actor, Service: t.Service, Method: t.Method},
	}
	for _, id := range []struct {
		text string
		to   []byte
	}{{t.Trace, s.Trace[:]}, {t.Span, s.ID[:]}, {t.Parent, s.Parent[:]}} {
		if len(id.text) != hex.EncodedLen(len(id.to)) {
			continue
		}
		if _, err := hex.Decode(id.to, []byte(id.text)); err != nil {
			clear(id.to)
		}
	}
	for i, kind := range kinds {
		if kind == t.Kind {
			s.Kind = uint8(i)
		}
	}
	for i, status := range statuses {
		if status == t.Status {
			s.Status = uint8(i)
		}
	}
	none := telemetry.Traffic{}
	if t.Name+t.State+t.Error+t.Type != "" || len(t.Events)+len(t.Fields) > 0 || t.Sent != none || t.Received != none {
		s.Rest = &Rest{Name: t.Name, State: t.State, Error: t.Error, Type: t.Type, Events: t.Events, Fields: t.Fields, Sent: t.Sent, Received: t.Received}
	}
	return s
}

// Telemetry is the span for whoever reads it.
func (s Ended) Telemetry() telemetry.Span {
	kind, status := min(int(s.Kind), len(kinds)-1), min(int(s.Status), len(statuses)-1) // it may be another actor's word
	t := telemetry.Span{
		Time: time.Unix(0, s.Time).UTC(), Duration: s.Duration, Actor: s.Actor, Kind: kinds[kind], Status: statuses[status],
		Trace: text(s.Trace[:]), Span: text(s.ID[:]), Parent: text(s.Parent[:]), Service: s.Service, Method: s.Method,
	}
	if r := s.Rest; r != nil {
		t.Sent, t.Received, t.Name, t.State, t.Error, t.Type, t.Events, t.Fields = r.Sent, r.Received, r.Name, r.State, r.Error, r.Type, r.Events, r.Fields
	}
	if t.Name == "" && s.Method != "" {
		t.Name = s.Verb + s.Service + "/" + s.Method
	}
	return t
}

// text is an id in hex; empty if there is none.
func text(id []byte) string {
	for _, b := range id {
		if b != 0 {
			return hex.EncodeToString(id)
		}
	}
	return ""
}

// own is a source that takes spans as they are kept.
type own interface {
	PutSpan(lost int, s Ended)
	KeepSpan(lost int, s Ended)
}

// Put puts a span into a source, behind so many that were lost.
func Put(to telemetry.Source, lost int, s Ended) {
	if to, is := to.(own); is {
		to.PutSpan(lost, s)
		return
	}
	told := s.Telemetry()
	to.PutSpans(lost, &told)
}
