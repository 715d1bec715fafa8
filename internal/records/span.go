package records

import (
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of a span, in bytes, beside those of all of its fields and events together.
const (
	spanSize   = 400 // beside its texts
	mostName   = 256
	mostState  = 512
	mostEvents = 32
)

// boundSpan is bound for a span. Ids that are none make it one of no trace, and no kind of a
// call what is neither side of one.
func boundSpan(s *telemetry.Span, now time.Time) (size int) {
	s.Time = plausible(s.Time, now)
	s.Duration = min(max(0, s.Duration), now.Sub(s.Time))
	for _, id := range []struct {
		text  *string
		bytes int
	}{{&s.Trace, 16}, {&s.Span, 8}, {&s.Parent, 8}} {
		if !isID(*id.text, id.bytes) {
			*id.text = ""
		}
	}
	if s.Kind != telemetry.Client && s.Kind != telemetry.Server {
		s.Kind = telemetry.Internal
	}
	if s.Status != telemetry.Cancelled && s.Status != telemetry.Deadline && s.Status != telemetry.OK {
		s.Status = telemetry.Failed
	}
	size = spanSize + len(s.Actor)
	for _, text := range []*string{&s.Name, &s.Service, &s.Method, &s.Type} {
		*text = words.Clip(*text, mostName)
		size += len(*text)
	}
	if len(s.State) > mostState {
		s.State = "" // a part of it would say something else
	}
	s.Error = words.Clip(s.Error, mostValue)
	inAll := 0
	s.Events = s.Events[:min(len(s.Events), mostEvents)]
	for i := range s.Events {
		e := &s.Events[i]
		e.Time, e.Name = plausible(e.Time, now), words.Clip(e.Name, mostKey)
		inAll += fieldSize + len(e.Name)
		e.Fields = boundFields(e.Fields, &inAll)
	}
	s.Fields = boundFields(s.Fields, &inAll)
	return size + len(s.State) + len(s.Error) + inAll
}
