package records

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Store is the [telemetry.Source] of an actor. The outermost nursery of a root owns it, or the
// life of an actor; Finish ends the loops.
//
// Records and spans have a ring each, so that neither pushes the other one out: an actor that calls
// much does not lose what it has logged.
type Store struct {
	records ring[telemetry.Record, telemetry.Record]
	spans   ring[tracing.Ended, span]
	begun   func() // once
}

var _ telemetry.Source = (*Store)(nil)

// New makes an empty store for the actor at a path, which keeps records and spans of so much
// weight: one for each, and for each KiB of it beyond the first. If that of spans is 0, it
// keeps none. begun, if it is not nil, is called with the first of either, and must not wait.
func New(at string, records, spans int, begun func()) *Store {
	if begun == nil {
		begun = func() {}
	}
	return &Store{newRing(at, records, same[telemetry.Record]{}), newRing(at, spans, newVocabulary()), sync.OnceFunc(begun)}
}

// Put adds a record, and cuts what is too large in it. All that takes time is done before a lock is
// taken: calls of many actors may put their records in at the same time.
func (s *Store) Put(r telemetry.Record) {
	size := bound(&r, time.Now())
	s.records.put(0, r.Actor, size, r)
	s.begun()
}

// Watch is that of [telemetry.Source].
func (s *Store) Watch(ctx context.Context, f telemetry.Filter) iter.Seq2[telemetry.Record, error] {
	passes, err := f.Compile()
	if err != nil {
		return failed[telemetry.Record](err)
	}
	return s.records.watch(ctx, f.Follow, passes)
}

// KeepsSpans is that of [telemetry.Source].
func (s *Store) KeepsSpans() bool { return s.spans.most > 0 }

// PutSpans adds spans, and cuts what is too large in them.
func (s *Store) PutSpans(lost int, spans ...*telemetry.Span) {
	for _, span := range spans {
		s.PutSpan(lost, tracing.Of(span))
		lost = 0
	}
	if lost > 0 && s.KeepsSpans() {
		s.spans.skip(lost)
	}
}

// PutSpan is PutSpans for one, which is another actor's word.
func (s *Store) PutSpan(lost int, span tracing.Ended) {
	boundTimes(span, time.Now().UnixNano())
	s.KeepSpan(lost, span)
}

// KeepSpan is PutSpan for one whose times are this process's own.
func (s *Store) KeepSpan(lost int, span tracing.Ended) {
	if s.KeepsSpans() {
		size := boundSpan(&span)
		s.spans.put(lost, span.Actor, size, span)
		s.begun()
	}
}

// WatchSpans is that of [telemetry.Source].
func (s *Store) WatchSpans(ctx context.Context, f telemetry.Filter) iter.Seq2[telemetry.Span, error] {
	passes, err := f.CompileSpans()
	if err == nil && !s.KeepsSpans() {
		err = telemetry.ErrNoSpans
	}
	if err != nil {
		return failed[telemetry.Span](err)
	}
	return func(yield func(telemetry.Span, error) bool) {
		for kept, err := range s.spans.watch(ctx, f.Follow, func(*tracing.Ended) bool { return true }) {
			var span telemetry.Span
			if err == nil {
				if span = kept.Telemetry(); !passes(&span) {
					continue
				}
			}
			if !yield(span, err) {
				return
			}
		}
	}
}

// pace is how long a loop over batches of spans waits before it takes the next ones: calls may
// be so frequent that to wake somebody for each span would cost more than they do.
const pace = 20 * time.Millisecond

// mostInMessage is the size of spans that are told at once, in bytes: less than a message may have.
const mostInMessage = 12 << 10

// SpanBatches ranges over all spans that come, until the store is finished, in batches that a
// message has room for, each behind how many that are lost. It takes those of some
// milliseconds at once.
func (s *Store) SpanBatches(ctx context.Context) iter.Seq2[int, *tracing.Batch] {
	return func(yield func(int, *tracing.Batch) bool) {
		for entries, last := range s.spans.batches(ctx, true) {
			for len(entries) > 0 {
				b, n := &tracing.Batch{}, 0
				for size := 0; n < len(entries) && (n == 0 || size+entries[n].size <= mostInMessage); n++ {
					if b.Add(entries[n].value) {
						size += entries[n].size
					} else {
						size += tracing.BytesInBatch
					}
				}
				if !yield(int(entries[n-1].n-last)-n, b) {
					return
				}
				last, entries = entries[n-1].n, entries[n:]
			}
			select {
			case <-time.After(pace):
			case <-s.spans.finished:
			case <-ctx.Done():
			}
		}
	}
}

// Finish ends all loops, and those that send what is kept to a host, once they have had
// what was there.
func (s *Store) Finish() {
	s.records.finish()
	s.spans.finish()
}

// failed is a loop that gets nothing but an error.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}
