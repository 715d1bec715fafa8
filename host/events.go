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

// eventLog keeps the last events of each actor, and passes every event on to
// those who follow. It owns no goroutine.
type eventLog struct {
	hub *hub.Hub[Event]

	mu   sync.Mutex
	next int
	past map[*child][]numberedEvent
	gone []*child // those of past that are over, the oldest first
}

// numberedEvent is an event with its place among all.
type numberedEvent struct {
	n int
	e Event
}

func newEventLog() *eventLog {
	return &eventLog{hub: hub.New[Event](), past: map[*child][]numberedEvent{}}
}

// add records an event.
func (l *eventLog) add(c *child, e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.past[c] = append(l.past[c], numberedEvent{l.next, e})
	if more := len(l.past[c]) - keptOfEach; more > 0 {
		l.past[c] = slices.Delete(l.past[c], 0, more)
	}
	if e.To == Gone {
		l.forgetOldest(c)
	}
	l.hub.Put(e)
}

// forgetOldest forgets the oldest of the actors that are over if there are too many.
func (l *eventLog) forgetOldest(c *child) {
	l.gone = append(l.gone, c)
	if len(l.gone) > keptGone {
		delete(l.past, l.gone[0])
		l.gone = slices.Delete(l.gone, 0, 1)
	}
}

// follow gives what is kept, in order, and a cursor for all that comes after.
func (l *eventLog) follow() ([]numberedEvent, *hub.Cursor[Event]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []numberedEvent
	for _, past := range l.past {
		all = append(all, past...)
	}
	slices.SortFunc(all, func(a, b numberedEvent) int { return cmp.Compare(a.n, b.n) })
	return all, l.hub.Subscribe(behindLimit)
}

type eventLogKey struct{}

// WithEvents returns a ctx whose nurseries tell their events to Events, from the
// first one on. Without it the outermost nursery's ctx is the first that has any.
func WithEvents(ctx context.Context) context.Context {
	return context.WithValue(ctx, eventLogKey{}, newEventLog())
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
		c, ok := ctx.Value(eventLogKey{}).(*eventLog)
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
func (l *eventLog) finish() { l.hub.Finish(io.EOF) }
