package records

import (
	"time"

	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Bounds of a span, in bytes, beside those of all of its fields and events together.
const (
	spanSize   = 160 // beside its texts
	mostName   = 256
	mostState  = 512
	mostEvents = 32
)

// boundTimes makes the times of a span such that an actor may have told them at a time.
func boundTimes(s *tracing.Ended, now int64) {
	if s.Time > now || s.Time < 0 {
		s.Time = now
	}
	s.Duration = min(max(0, s.Duration), time.Duration(now-s.Time))
	if s.Rest != nil {
		for i := range s.Rest.Events {
			at := &s.Rest.Events[i].Time
			*at = plausible(*at, time.Unix(0, now))
		}
	}
}

// boundSpan is bound for a span. No kind of a call is what is neither side of one.
func boundSpan(s *tracing.Ended) (size int) {
	if s.Kind > tracing.KindServer {
		s.Kind = tracing.KindInternal
	}
	s.Status = min(s.Status, tracing.StatusFailed)
	size = spanSize + len(s.Actor)
	for _, text := range [...]*string{&s.Verb, &s.Service, &s.Method} {
		if len(*text) > mostName {
			*text = words.Clip(*text, mostName)
		}
		size += len(*text)
	}
	if s.Rest != nil {
		size += boundRest(s.Rest)
	}
	return size
}

func boundRest(r *tracing.Rest) (size int) {
	if len(r.State) > mostState {
		r.State = "" // a part of it would say something else
	}
	r.Name, r.Type, r.Error = words.Clip(r.Name, mostName), words.Clip(r.Type, mostName), words.Clip(r.Error, mostValue)
	inAll := 0
	r.Events = r.Events[:min(len(r.Events), mostEvents)]
	for i := range r.Events {
		e := &r.Events[i]
		e.Name = words.Clip(e.Name, mostKey)
		inAll += fieldSize + len(e.Name)
		e.Fields = boundFields(e.Fields, &inAll)
	}
	r.Fields = boundFields(r.Fields, &inAll)
	return len(r.Name) + len(r.Type) + len(r.State) + len(r.Error) + inAll
}
