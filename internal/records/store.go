package records

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Store is the [telemetry.Source] of an actor. The outermost nursery of a root owns it, or the
// life of an actor; Finish ends the loops.
//
// Records and spans have a ring each, so that neither pushes the other one out: an actor that calls
// much does not lose what it has logged.
type Store struct {
	records ring[telemetry.Record]
	spans   ring[telemetry.Span]
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
	return &Store{newRing[telemetry.Record](at, records), newRing[telemetry.Span](at, spans), sync.OnceFunc(begun)}
}

// Put adds a record, and cuts what is too large in it. All that takes time is done before a lock is
// taken: calls of many actors may put their records in at the same time.
func (s *Store) Put(r telemetry.Record) {
	size := bound(&r, time.Now())
	s.records.put(0, s.records.of(r.Actor, size, &r))
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

// PutSpans adds spans, which are the store's then, and cuts what is too large in them.
func (s *Store) PutSpans(lost int, spans ...*telemetry.Span) {
	if !s.KeepsSpans() {
		return
	}
	now := time.Now()
	var one [1]incoming[telemetry.Span] // most often it is one
	all := one[:0]
	for _, span := range spans {
		all = append(all, s.spans.of(span.Actor, boundSpan(span, now), span))
	}
	s.spans.put(lost, all...)
	s.begun()
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
	return s.spans.watch(ctx, f.Follow, passes)
}

// pace is how long a loop over batches of spans waits before it takes the next ones: calls may
// be so frequent that to wake somebody for each span would cost more than they do.
const pace = 20 * time.Millisecond

// mostInMessage is the weight of spans that are told at once: less than a message may have.
const mostInMessage = 12

// SpanBatches ranges over all spans that come, until the store is finished, in batches that a
// message has room for, each behind how many that are lost. It takes those of some
// milliseconds at once.
func (s *Store) SpanBatches(ctx context.Context) iter.Seq2[int, []telemetry.Span] {
	return func(yield func(int, []telemetry.Span) bool) {
		for entries, last := range s.spans.batches(ctx, true) {
			for len(entries) > 0 {
				var spans []telemetry.Span
				for weight := 0; len(spans) < len(entries); {
					e := entries[len(spans)]
					if weight += e.weight; weight > mostInMessage && len(spans) > 0 {
						break
					}
					spans = append(spans, *e.value)
				}
				n := len(spans)
				if !yield(int(entries[n-1].n-last)-n, spans) {
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
