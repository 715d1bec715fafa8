// Package hub fans a sequence of messages out to many readers, none of which can
// hold up the others, nor whoever adds a message: a reader that is too slow loses the oldest
// ones, and is told how many. The broadcasts and publications of package flow go through it.
//
//	h := hub.New[Event]()
//	c := h.Subscribe(64)       // from the next message on
//	h.Put(event)               // never waits
//	m, err := c.Next(ctx)      // a message, *fault.Lagged, or what Finish was given
//	c.Leave()                  // gives up what was kept for this reader
//	h.Finish(io.EOF)           // after the last message
//
// Messages are kept once for all readers, and not in a channel for each: a broadcast to a thousand
// readers takes the memory of one, and a Put neither copies the message nor waits for anybody.
package hub

import (
	"context"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Hub keeps the last messages of a sequence for many readers, each with a place
// of its own: as many as the reader that is furthest behind may still get. It is a guarded
// table, and owns no goroutine. All methods may be called from any goroutine; none of them
// waits but [Cursor.Next].
//
// Messages are numbered from 0 in the order of Put. The last of kept has the number next-1, so
// that a cursor's place is a number, and how far it is behind a difference. A hub without readers
// keeps nothing. It needs no end: Finish only says what comes after the last message, and a hub
// that nobody holds is garbage like any other value.
type Hub[T any] struct {
	mu      sync.Mutex // guards all below, and the cursors
	kept    []T        // the newest messages, the oldest first
	next    uint64     // number of the message that comes next
	readers map[*Cursor[T]]struct{}
	end     error // why no more messages come
	changed task.Change
}

// New makes an empty hub.
func New[T any]() *Hub[T] { return &Hub[T]{readers: map[*Cursor[T]]struct{}{}} }

// Cursor is one reader's place. It belongs to the reader, who leaves when it is not used any
// more: until then the hub keeps up to window messages for it. One goroutine at a time may use it,
// but any may call Leave. Its fields are guarded by the hub's lock.
type Cursor[T any] struct {
	hub    *Hub[T]
	next   uint64 // number of the message that it gets next
	window int    // messages that are kept for it; older ones are lost
	left   bool   // Leave was called
}

// Subscribe adds a reader that begins with the next message and may be window
// messages behind.
func (h *Hub[T]) Subscribe(window int) *Cursor[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Cursor[T]{hub: h, next: h.next, window: window}
	h.readers[c] = struct{}{}
	return c
}

// Leave removes the reader. Its next Look or Next gives [fault.ErrStreamClosed], one that waits
// included.
func (c *Cursor[T]) Leave() {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	c.left = true
	delete(h.readers, c)
	h.trim()
	h.changed.Tell()
}

// Put adds a message.
func (h *Hub[T]) Put(m T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, m)
	h.next++
	h.trim()
	h.changed.Tell()
}

// Finish makes err what readers get after the last message. The first one stays. Readers that are
// behind get what is kept for them first, and err again each time that they ask after it.
func (h *Hub[T]) Finish(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end == nil {
		h.end = err
	}
	h.changed.Tell()
}

// trim drops what no reader's window reaches back to. It is called under the lock. The
// places are cleared, since the array that they are in lives on until append needs a larger one,
// and a message may hold much.
func (h *Hub[T]) trim() {
	needed := 0
	for c := range h.readers {
		needed = max(needed, min(c.window, int(h.next-c.next)))
	}
	if drop := len(h.kept) - needed; drop > 0 {
		clear(h.kept[:drop])
		h.kept = h.kept[drop:]
	}
}

// take gives a reader its next message, or says that it lagged, or why no more
// come. It holds the lock. ok is false if there is nothing yet.
//
// What is missed is what lies outside the reader's own window, or has been dropped. The window
// decides even if a slower reader with a larger one keeps older messages alive: how much a reader
// loses must not depend on who else reads.
func (c *Cursor[T]) take() (m T, ok bool, err error) {
	h := c.hub
	if c.left {
		return m, true, fault.ErrStreamClosed
	}
	behind := int(h.next - c.next)
	if missed := behind - min(c.window, len(h.kept)); behind > 0 && missed > 0 {
		c.next += uint64(missed)
		h.trim()
		return m, true, &fault.Lagged{Missed: missed}
	}
	if behind > 0 {
		m = h.kept[len(h.kept)-behind]
		c.next++
		h.trim()
		return m, true, nil
	}
	return m, h.end != nil, h.end
}

// Look gives a reader its next message or *fault.Lagged, or what came after the last
// message. If there is nothing yet, ok is false, and changed is closed when it is worth
// another look. The channel is made in the same step, so that no change between the look and the
// wait is missed.
func (c *Cursor[T]) Look() (m T, ok bool, changed <-chan struct{}, err error) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if m, ok, err = c.take(); ok {
		return m, true, nil, err
	}
	return m, false, c.hub.changed.Next(), nil
}

// Next waits for the next message, and returns what Look does; the end of ctx gives its cause.
func (c *Cursor[T]) Next(ctx context.Context) (T, error) {
	for {
		m, ok, changed, err := c.Look()
		if ok {
			return m, err
		}
		if err := task.Await(ctx, changed); err != nil {
			return m, err
		}
	}
}
