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
func boundTimes(s tracing.Ended, now int64) {
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

// span is a span as it is kept: without a pointer, since for the collector to look at thousands of spans, again and
// again, would cost more than all else that is done for them.
type span struct {
	tracing.Numbers
	words uint32 // a place in a [vocabulary]
}

// vocabulary has what spans are made of beside numbers, as long as one of them is kept. Most have the same as many others.
type vocabulary struct {
	ids  map[tracing.Words]uint32 // of those without a Rest, which is another one in each span
	all  []shared                 // the first one is nobody's
	free []uint32                 // places in all
	last uint32                   // of the span before, which has often had the same
}

// shared are words, and how many spans have them.
type shared struct {
	tracing.Words
	spans int
}

func newVocabulary() *vocabulary {
	return &vocabulary{ids: map[tracing.Words]uint32{}, all: make([]shared, 1)}
}

// pack implements form.
func (v *vocabulary) pack(s tracing.Ended) span {
	if last := &v.all[v.last]; last.spans == 0 || last.Words != s.Words {
		v.last = v.place(s.Words)
	}
	v.all[v.last].spans++
	return span{*s.Numbers, v.last}
}

// place is where words are, or a free one.
func (v *vocabulary) place(of tracing.Words) uint32 {
	id, known := v.ids[of]
	if known {
		return id
	}
	if n := len(v.free); n > 0 {
		id, v.free = v.free[n-1], v.free[:n-1]
	} else {
		id, v.all = uint32(len(v.all)), append(v.all, shared{})
	}
	if v.all[id].Words = of; of.Rest == nil {
		v.ids[of] = id
	}
	return id
}

// unpack implements form.
func (v *vocabulary) unpack(s span) tracing.Ended {
	return tracing.Ended{Numbers: &s.Numbers, Words: v.all[s.words].Words}
}

// drop implements form.
func (v *vocabulary) drop(s *span) {
	of := &v.all[s.words]
	if of.spans--; of.spans == 0 {
		delete(v.ids, of.Words)
		*of, v.free = shared{}, append(v.free, s.words)
	}
}
