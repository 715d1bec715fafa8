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

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// ring keeps the last values of one kind, for a [Store]. It is a guarded table: it owns no
// goroutine, and what it holds is bounded by the weight of the values in it. mu guards the
// fields below it, and under it no other lock is taken.
//
// When it is full, those children of the actor that have most in it, each with all that is
// below it, lose their oldest values. So one that floods pushes out nobody's but its own.
type ring[T any] struct {
	at   string // the path of the actor
	most int    // weight of what is kept

	mu       sync.Mutex
	kept     []entry[T]         // in the order of their numbers
	last     uint64             // the number of the newest value
	weight   int                // of all
	sources  map[string]*source // that have something here
	changed  chan struct{}      // made by a reader that waits, closed at the next change
	finished chan struct{}      // closed when nothing comes any more
}

// entry is a value in its place.
type entry[T any] struct {
	n      uint64
	source *source
	weight int
	value  *T
}

// source is a child of the actor, with all that is below it, or the actor itself.
type source struct{ weight int }

// incoming is a value that is to be put in.
type incoming[T any] struct {
	below  string // the child of the actor that it comes from, or ""
	weight int
	value  *T
}

// newRing makes a ring for what the actor at a path keeps: values of so much weight, where
// one counts 1 and each KiB of it beyond the first another 1.
func newRing[T any](at string, most int) ring[T] {
	return ring[T]{at: at, most: most, sources: map[string]*source{}, finished: make(chan struct{})}
}

// of is what an actor has said, of a size in bytes.
func (r *ring[T]) of(actor string, size int, value *T) incoming[T] {
	below, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(actor, r.at), "/"), "/")
	return incoming[T]{below, 1 + size>>10, value}
}

// put adds values, behind so many that were lost before they came here: to a reader these are
// as if they had been kept, and pushed out.
func (r *ring[T]) put(lost int, all ...incoming[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last += uint64(max(0, lost))
	for _, e := range all {
		r.last++
		from := r.sources[e.below]
		if from == nil {
			from = &source{}
			r.sources[e.below] = from
		}
		r.kept = append(r.kept, entry[T]{r.last, from, e.weight, e.value})
		from.weight += e.weight
		r.weight += e.weight
		if r.weight > r.most {
			r.shrink()
		}
	}
	r.wake()
}

// shrink makes room for a sixteenth of what may be kept, so that it is seldom needed: all that
// is kept is moved for it. The sources that have most lose their oldest values until none of
// them has more than the others of these; one that has less than its share loses nothing.
func (r *ring[T]) shrink() {
	room, share := r.most-r.most/16, 0
	all := slices.SortedFunc(maps.Values(r.sources), func(a, b *source) int { return a.weight - b.weight })
	for i, s := range all {
		if share = room / (len(all) - i); s.weight > share {
			break
		}
		room -= s.weight
	}
	r.kept = slices.DeleteFunc(r.kept, func(e entry[T]) bool {
		if e.source.weight <= share {
			return false
		}
		e.source.weight -= e.weight
		r.weight -= e.weight
		return true
	})
	maps.DeleteFunc(r.sources, func(_ string, s *source) bool { return s.weight == 0 })
}

// wake has all who wait look again.
func (r *ring[T]) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// finish ends all loops, once they have had what was there.
func (r *ring[T]) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over() {
		close(r.finished)
	}
	r.wake()
}

// over reports whether nothing comes any more. The channel, and not a flag, is what says
// so, since a loop that pauses waits for it.
func (r *ring[T]) over() bool {
	select {
	case <-r.finished:
		return true
	default:
		return false
	}
}

// batch is how many values a loop takes at once. The filter, and the loop's body, which are
// not this package's, run without the lock; so what they are given is copied, and bounded.
const batch = 256

// watch ranges over the values that pass: see [telemetry.Source].
func (r *ring[T]) watch(ctx context.Context, follow bool, passes func(*T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for entries, last := range r.batches(ctx, follow) {
			for _, e := range entries {
				if ctx.Err() != nil {
					return
				}
				if missed := e.n - last - 1; missed > 0 && !yield(none, &fault.Lagged{Missed: int(missed)}) {
					return
				}
				last = e.n
				if passes(e.value) && !yield(*e.value, nil) {
					return
				}
			}
		}
	}
}

// batches ranges over what is kept, and, if it follows, over all that comes: in batches of
// those that are there, each with the number of the last one before it. It ends with ctx, and
// when the ring is finished.
func (r *ring[T]) batches(ctx context.Context, follow bool) iter.Seq2[[]entry[T], uint64] {
	return func(yield func([]entry[T], uint64) bool) {
		for last, end := uint64(0), r.end(follow); last < end; {
			entries, changed := r.after(last, end)
			n := len(entries)
			if n == 0 && (!follow || changed == nil) || n > 0 && !yield(entries, last) || !wait(ctx, changed, n > 0) {
				return
			}
			if n > 0 {
				last = entries[n-1].n
			}
		}
	}
}

// wait waits for a change, unless there may be more already, and reports false when ctx has
// ended. It looks at ctx in either case: a loop that never catches up ends as well.
func wait(ctx context.Context, changed <-chan struct{}, more bool) bool {
	if !more {
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// end is the number of the last value that a loop is given.
func (r *ring[T]) end(follow bool) uint64 {
	if follow {
		return math.MaxUint64
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// after is a copy of the first values behind a number, up to another one. If there are none,
// changed is closed when it is worth another look, and nil if that is never.
func (r *ring[T]) after(last, end uint64) (entries []entry[T], changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	behind := func(n uint64) int { return sort.Search(len(r.kept), func(i int) bool { return r.kept[i].n > n }) }
	if from, to := behind(last), behind(end); from < to {
		return slices.Clone(r.kept[from:min(from+batch, to)]), nil
	}
	if r.changed == nil && !r.over() {
		r.changed = make(chan struct{})
	}
	return nil, r.changed
}
