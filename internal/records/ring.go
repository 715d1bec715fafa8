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

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ring keeps the last values of one kind, for a [Store]. It is a guarded table: it owns no
// goroutine, and what it holds is bounded by the weight of the values in it. mu guards the
// fields below it, and under it no other lock is taken.
//
// When it is full, those children of the actor that have most in it, each with all that is
// below it, lose their oldest values. So one that floods pushes out nobody's but its own.
type ring[T, K any] struct {
	form[T, K]
	at   string // the path of the actor
	most int    // weight of what is kept

	mu       sync.Mutex
	last     uint64                // the number of the newest value
	weight   int                   // of all
	sources  map[string]*source[K] // that have something here
	speaker  string                // who has said the newest value
	recent   *source[K]            // that it is in; nil if there may be none
	changed  task.Change
	many     task.Change   // told of each batch that has come, and of the end: nobody rests any longer then
	finished chan struct{} // closed when nothing comes any more, which a loop that pauses waits for
}

// form is how values are kept. It is called with the ring's lock.
type form[T, K any] interface {
	pack(value T) K
	unpack(kept K) T
	drop(kept *K) // it is not kept any more
}

// same keeps values as they are.
type same[T any] struct{}

func (same[T]) pack(value T) T  { return value }
func (same[T]) unpack(kept T) T { return kept }
func (same[T]) drop(kept *T)    { *kept = *new(T) }

// entry is a value in its place.
type entry[T any] struct {
	n     uint64
	size  int // in bytes
	value T
}

func (e *entry[T]) weight() int { return 1 + e.size>>10 }

// source is a child of the actor, with all that is below it, or the actor itself.
type source[T any] struct {
	weight      int
	newest      uint64     // the number of the last one that came
	slots       []entry[T] // used one after the other, again and again
	first, kept int        // where the oldest one is, and how many there are, in the order of their numbers
}

// push adds an entry.
func (s *source[T]) push(e entry[T]) {
	if s.kept == len(s.slots) {
		s.resize()
	}
	s.slots[(s.first+s.kept)%len(s.slots)] = e
	s.kept++
	s.newest = e.n
	s.weight += e.weight()
}

// cut drops the oldest values until the rest weighs no more.
func (s *source[T]) cut(to int, drop func(*T)) (less int) {
	for ; s.weight-less > to; s.kept-- {
		oldest := &s.slots[s.first]
		less += oldest.weight()
		drop(&oldest.value)
		s.first = (s.first + 1) % len(s.slots)
	}
	if s.weight -= less; len(s.slots) > max(16, 4*s.kept) {
		s.resize() // or of many that have had most in turn, each would hold what most takes
	}
	return less
}

// resize gives as many slots again as there are entries.
func (s *source[T]) resize() {
	halves := s.halves()
	slots := make([]entry[T], max(16, 2*s.kept))
	copy(slots[copy(slots, halves[0]):], halves[1])
	s.slots, s.first = slots, 0
}

// halves are what is kept: up to the end of the slots, and from their beginning.
func (s *source[T]) halves() [2][]entry[T] {
	if end := s.first + s.kept; end > len(s.slots) {
		return [2][]entry[T]{s.slots[s.first:], s.slots[:end-len(s.slots)]}
	}
	return [2][]entry[T]{s.slots[s.first:][:s.kept]}
}

// between are those of some values that are behind a number, up to another one.
func between[T any](all []entry[T], last, end uint64) []entry[T] {
	behind := func(n uint64) int { return sort.Search(len(all), func(i int) bool { return all[i].n > n }) }
	from := behind(last)
	return all[from:max(from, behind(end))]
}

// newRing makes a ring for what the actor at a path keeps: values of so much weight, where
// one counts 1 and each KiB of it beyond the first another 1.
func newRing[T, K any](at string, most int, f form[T, K]) ring[T, K] {
	return ring[T, K]{form: f, at: at, most: most, sources: map[string]*source[K]{}, finished: make(chan struct{})}
}

// skip takes note of values that were lost before they came here: to a reader these are as if
// they had been kept, and pushed out.
func (r *ring[T, K]) skip(lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(max(0, lost))
}

// count numbers the next values, which are there or lost, and wakes loops. It is called under the lock.
func (r *ring[T, K]) count(n int) {
	before := r.last / batch
	r.last += uint64(n)
	r.changed.Tell()
	if r.last/batch != before {
		r.many.Tell()
	}
}

// put adds what an actor has said, of a size in bytes, behind so many that were lost.
func (r *ring[T, K]) put(lost int, actor string, size int, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(max(0, lost) + 1)
	if r.recent == nil || r.speaker != actor {
		r.speaker, r.recent = actor, r.sourceOf(actor)
	}
	from := r.recent
	before := from.weight
	from.push(entry[K]{r.last, size, r.pack(value)})
	if r.weight += from.weight - before; r.weight > r.most {
		r.shrink()
	}
}

// sourceOf is where values of an actor are kept.
func (r *ring[T, K]) sourceOf(actor string) *source[K] {
	below, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(actor, r.at), "/"), "/")
	from := r.sources[below]
	if from == nil {
		from = &source[K]{}
		r.sources[below] = from
	}
	return from
}

// shrink makes room for a sixteenth of what may be kept, so that it is seldom needed. The sources that
// have most lose their oldest values until none of them has more than the others of these; one that has
// less than its share loses nothing.
func (r *ring[T, K]) shrink() {
	room, share := r.most-r.most/16, 0
	all := slices.SortedFunc(maps.Values(r.sources), func(a, b *source[K]) int { return a.weight - b.weight })
	for i, s := range all {
		if share = room / (len(all) - i); s.weight > share {
			break
		}
		room -= s.weight
	}
	for _, s := range all {
		r.weight -= s.cut(share, r.drop)
	}
	maps.DeleteFunc(r.sources, func(_ string, s *source[K]) bool { return s.weight == 0 })
	r.recent = nil
}

// finish ends all loops, once they have had what was there.
func (r *ring[T, K]) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !task.Closed(r.finished) {
		close(r.finished)
	}
	r.changed.Tell()
	r.many.Tell()
}

// batch is how many values a loop takes at once. The filter, and the loop's body, which are
// not this package's, run without the lock; so what they are given is copied, and bounded.
const batch = 256

// watch ranges over the values that pass: see [telemetry.Source].
func (r *ring[T, K]) watch(ctx context.Context, follow bool, passes func(*T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for entries, last := range r.batches(ctx, follow) {
			for _, e := range entries {
				if missed := e.n - last - 1; missed > 0 && !yield(none, &fault.Lagged{Missed: int(missed)}) {
					return
				}
				last = e.n
				if passes(&e.value) && !yield(e.value, nil) {
					return
				}
			}
		}
	}
}

// batches ranges over what is kept, and, if it follows, over all that comes: in batches of
// those that are there, each with the number of the last one before it. It ends when the ring is finished,
// and with ctx: with one batch of what is there then. That of a viewer rests when it has caught up, unless little comes.
func (r *ring[T, K]) batches(ctx context.Context, follow bool) iter.Seq2[[]entry[T], uint64] {
	return func(yield func([]entry[T], uint64) bool) {
		pace := task.PaceOf(ctx)
		for last, end, over := uint64(0), r.end(follow), false; last < end && !over; {
			over = ctx.Err() != nil
			entries, changed := r.after(last, end)
			n := len(entries)
			switch {
			case n == 0 && (!follow || changed == nil), n > 0 && !yield(entries, last):
				return
			case n == 0:
				_ = task.Await(ctx, changed) // the end of ctx is seen above
				continue
			case n < batch && follow:
				pace.Rest(ctx, changed)
			}
			last = entries[n-1].n
		}
	}
}

// end is the number of the last value that a loop is given.
func (r *ring[T, K]) end(follow bool) uint64 {
	if follow {
		return math.MaxUint64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// after is a copy of the first values behind a number, up to another one; changed is closed when another batch has come, or the end has.
// If there are none, changed is closed when it is worth another look, and nil if that is never.
func (r *ring[T, K]) after(last, end uint64) (entries []entry[T], changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var waiting [][]entry[K]
	for _, s := range r.sources {
		if s.newest <= last {
			continue // it has nothing new, as most have not
		}
		for _, half := range s.halves() {
			if some := between(half, last, end); len(some) > 0 {
				waiting = append(waiting, some)
			}
		}
	}
	for len(waiting) > 0 && len(entries) < batch {
		first := 0
		for i, some := range waiting {
			if some[0].n < waiting[first][0].n {
				first = i
			}
		}
		next := &waiting[first][0]
		entries = append(entries, entry[T]{next.n, next.size, r.unpack(next.value)})
		if waiting[first] = waiting[first][1:]; len(waiting[first]) == 0 {
			waiting = slices.Delete(waiting, first, first+1)
		}
	}
	switch ended := task.Closed(r.finished); {
	case len(entries) > 0 && ended:
		return entries, r.finished
	case len(entries) > 0:
		return entries, r.many.Next()
	case ended:
		return nil, nil
	}
	return nil, r.changed.Next()
}
