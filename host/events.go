package host

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/hub"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of what is remembered of events.
const (
	keptOfEach  = 256  // events of one actor
	keptGone    = 64   // actors that are over
	behindLimit = 4096 // events that a follower may be behind
)

// chronicle keeps the last events of each actor, and passes every event on to
// those who follow. It owns no goroutine.
type chronicle struct {
	hub *hub.Hub[Event]

	mu   sync.Mutex
	next int
	past map[*seat][]numbered
	gone []*seat // those of past that are over, the oldest first
}

// numbered is an event with its place among all.
type numbered struct {
	n int
	e Event
}

func newChronicle() *chronicle {
	return &chronicle{hub: hub.New[Event](), past: map[*seat][]numbered{}}
}

// add records an event.
func (c *chronicle) add(s *seat, e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	c.past[s] = append(c.past[s], numbered{c.next, e})
	if more := len(c.past[s]) - keptOfEach; more > 0 {
		c.past[s] = slices.Delete(c.past[s], 0, more)
	}
	if e.To == Gone {
		c.bury(s)
	}
	c.hub.Put(e)
}

// bury forgets the oldest of the actors that are over if there are too many.
func (c *chronicle) bury(s *seat) {
	c.gone = append(c.gone, s)
	if len(c.gone) > keptGone {
		delete(c.past, c.gone[0])
		c.gone = slices.Delete(c.gone, 0, 1)
	}
}

// follow gives what is kept, in order, and a cursor for all that comes after.
func (c *chronicle) follow() ([]numbered, *hub.Cursor[Event]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []numbered
	for _, past := range c.past {
		all = append(all, past...)
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	return all, c.hub.Subscribe(behindLimit)
}

type chronicleKey struct{}

// WithEvents returns a ctx whose nurseries tell their events to Events, from the
// first one on. Without it the outermost nursery's ctx is the first that has any.
func WithEvents(ctx context.Context) context.Context {
	return context.WithValue(ctx, chronicleKey{}, newChronicle())
}

// Events ranges over what happens to the actors of ctx's nurseries in this
// process: first the last events of each actor (at most 256), then every one that
// comes. It ends with ctx; on a ctx from within a nursery, also when the outermost
// nursery has ended. A follower that
// is more than 4096 events behind gets a *fault.Lagged, and goes on.
//
// ctx is from WithEvents or from within a nursery; others have no events.
func Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		c, ok := ctx.Value(chronicleKey{}).(*chronicle)
		if !ok {
			return
		}
		past, cursor := c.follow()
		defer cursor.Leave()
		for _, p := range past {
			if !yield(p.e, nil) {
				return
			}
		}
		for {
			e, err := cursor.Next(ctx)
			if _, lagged := errors.AsType[*fault.Lagged](err); err != nil && !lagged || !yield(e, err) {
				return
			}
		}
	}
}

// finish ends all followers.
func (c *chronicle) finish() { c.hub.Finish(io.EOF) }
