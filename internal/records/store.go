package records

import (
	"context"
	"iter"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Store is the [telemetry.Source] of an actor. It is a guarded table: it owns no goroutine, and what it
// holds is bounded by the weight of the records in it. The outermost nursery of a root owns it, or the life of an
// actor; Finish ends the loops. mu guards the fields below it, and under it no other lock is taken but
// those of begun.
//
// When it is full, those children of the actor that have most in it, each with all that is below it, lose their
// oldest records. So one that floods pushes out nobody's but its own.
type Store struct {
	at    string // the path of the actor whose store it is
	most  int    // weight of what is kept
	begun func()

	mu       sync.Mutex
	kept     []entry        // in the order of their numbers
	last     uint64         // the number of the newest record
	weight   int            // of all
	weights  map[string]int // of what is kept of each source
	changed  chan struct{}  // made by a reader that waits, closed at the next change
	finished bool
}

// entry is a record in its place.
type entry struct {
	n      uint64
	source string // the child of the actor that it comes from, or the actor itself
	weight int
	record *telemetry.Record
}

// New makes an empty store for the actor at a path, which keeps records of so much weight: one for each record,
// and for each KiB of it beyond the first. begun, if it is not nil, is called with the first record,
// and must not wait.
func New(at string, most int, begun func()) *Store {
	return &Store{at: at, most: most, begun: begun, weights: map[string]int{}}
}

// Put adds a record, and cuts what is too large in it. All that takes time is done before the lock is
// taken: calls of many actors may put their records in at the same time.
func (s *Store) Put(r telemetry.Record) {
	size := bound(&r, time.Now())
	below, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.Actor, s.at), "/"), "/")
	e := entry{source: below, weight: 1 + size>>10, record: &r}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == 0 && s.begun != nil {
		s.begun()
	}
	s.last++
	e.n = s.last
	s.kept = append(s.kept, e)
	s.add(e.source, e.weight)
	if s.weight > s.most {
		s.shrink()
	}
	s.wake()
}

func (s *Store) add(source string, weight int) {
	s.weight += weight
	if s.weights[source] += weight; s.weights[source] == 0 {
		delete(s.weights, source)
	}
}

// shrink makes room for a sixteenth of what may be kept, so that it is seldom needed: all that is kept is moved
// for it. The sources that have most lose their oldest records until none of them has more than the others of these;
// one that has less than its share loses nothing.
func (s *Store) shrink() {
	room, share := s.most-s.most/16, 0
	for i, weight := range slices.Sorted(maps.Values(s.weights)) {
		if share = room / (len(s.weights) - i); weight > share {
			break
		}
		room -= weight
	}
	s.kept = slices.DeleteFunc(s.kept, func(e entry) bool {
		if s.weights[e.source] <= share {
			return false
		}
		s.add(e.source, -e.weight)
		return true
	})
}

// wake has all who wait look again.
func (s *Store) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Finish ends all loops, once they have had what was there.
func (s *Store) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.wake()
}

// batch is how many records a loop takes at once. The filter, and the loop's body, which are not this
// package's, run without the lock; so what they are given is copied, and bounded.
const batch = 256

// Watch is that of [telemetry.Source].
func (s *Store) Watch(ctx context.Context, f telemetry.Filter) iter.Seq2[telemetry.Record, error] {
	return func(yield func(telemetry.Record, error) bool) {
		passes, err := f.Compile()
		if err != nil {
			yield(telemetry.Record{}, err)
			return
		}
		for last, end := uint64(0), s.end(&f); ; {
			entries, changed := s.after(last)
			for _, e := range entries {
				if e.n > end || ctx.Err() != nil {
					return
				}
				if missed := e.n - last - 1; missed > 0 && !yield(telemetry.Record{}, &fault.Lagged{Missed: int(missed)}) {
					return
				}
				last = e.n
				if passes(e.record) && !yield(*e.record, nil) {
					return
				}
			}
			if len(entries) == 0 && (!f.Follow || changed == nil) || !wait(ctx, changed, len(entries) > 0) {
				return
			}
		}
	}
}

// wait waits for a change, unless there may be more already, and reports false when ctx has ended. It
// looks at ctx in either case: a loop that never catches up ends as well.
func wait(ctx context.Context, changed <-chan struct{}, more bool) bool {
	if !more {
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// end is the number of the last record that a loop is given.
func (s *Store) end(f *telemetry.Filter) uint64 {
	if f.Follow {
		return math.MaxUint64
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// after is a copy of the first records behind a number. If there are none, changed is closed when it is
// worth another look, and nil if that is never.
func (s *Store) after(last uint64) (entries []entry, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.kept), func(i int) bool { return s.kept[i].n > last })
	if i < len(s.kept) {
		return slices.Clone(s.kept[i:min(i+batch, len(s.kept))]), nil
	}
	if s.changed == nil && !s.finished {
		s.changed = make(chan struct{})
	}
	return nil, s.changed
}
