package contract

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-2ba35074/trellis/shared/dialog"
)

// Lagged says that a subscriber was behind by more than its window: so many
// messages are gone for it. It goes on with the oldest that is kept.
type Lagged struct{ Missed int }

func (e *Lagged) Error() string {
	return fmt.Sprintf("lagged: %d messages came faster than this subscriber took them, and were dropped for it", e.Missed)
}

// hub keeps the last messages of a sequence for many readers, each with a place
// of its own. It is a guarded table; it owns no goroutine.
type hub[T any] struct {
	mu      sync.Mutex
	kept    []T    // the newest messages, the oldest first
	next    uint64 // number of the message that comes next
	readers map[*cursor[T]]struct{}
	end     error         // why no more messages come
	changed chan struct{} // made by a waiter, closed at the next change
}

func newHub[T any]() *hub[T] { return &hub[T]{readers: map[*cursor[T]]struct{}{}} }

// cursor is one reader's place.
type cursor[T any] struct {
	hub    *hub[T]
	next   uint64
	window int
}

// subscribe adds a reader that begins with the next message.
func (h *hub[T]) subscribe(window int) *cursor[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	if window <= 0 {
		window = dialog.DefaultMessages
	}
	c := &cursor[T]{hub: h, next: h.next, window: window}
	h.readers[c] = struct{}{}
	return c
}

// leave removes a reader, and reports how many are left.
func (c *cursor[T]) leave() int {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, c)
	h.trim()
	h.wake()
	return len(h.readers)
}

// put adds a message.
func (h *hub[T]) put(m T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, m)
	h.next++
	h.trim()
	h.wake()
}

// finish makes err what readers get after the last message. The first one stays.
func (h *hub[T]) finish(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end == nil {
		h.end = err
	}
	h.wake()
}

// trim drops what no reader's window reaches back to.
func (h *hub[T]) trim() {
	needed := 0
	for c := range h.readers {
		needed = max(needed, min(c.window, int(h.next-c.next)))
	}
	if drop := len(h.kept) - needed; drop > 0 {
		clear(h.kept[:drop])
		h.kept = h.kept[drop:]
	}
}

func (h *hub[T]) wake() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// take gives a reader its next message, or says that it lagged, or why no more
// come. It holds the lock. ok is false if there is nothing yet.
func (c *cursor[T]) take() (m T, ok bool, err error) {
	h := c.hub
	behind := int(h.next - c.next)
	if missed := behind - min(c.window, len(h.kept)); behind > 0 && missed > 0 {
		c.next += uint64(missed)
		h.trim()
		return m, true, &Lagged{Missed: missed}
	}
	if behind > 0 {
		m = h.kept[len(h.kept)-behind]
		c.next++
		h.trim()
		return m, true, nil
	}
	return m, h.end != nil, h.end
}

// await waits until take has something.
func (c *cursor[T]) await(ctx context.Context) (T, error) {
	for {
		c.hub.mu.Lock()
		m, ok, err := c.take()
		changed := c.hub.change()
		c.hub.mu.Unlock()
		if ok {
			return m, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m, context.Cause(ctx)
		}
	}
}

func (h *hub[T]) change() <-chan struct{} {
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}
