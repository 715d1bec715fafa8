package task

import (
	"context"
	"time"
)

// Await returns nil when done is closed or gives something, or the cause of ctx when that
// ends. If both have happened, it is either.
func Await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Closed reports whether done is closed now. Nobody sends on it.
func Closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// ClosedWithin waits for done, and reports whether it was closed within the bound.
func ClosedWithin(done <-chan struct{}, bound time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(bound):
		return false
	}
}

// Change wakes all who wait for the next change of something. The zero value is ready. The lock
// of that guards it; and whoever waits takes what Next gives in the same step as the look that
// found nothing yet, so that no change is missed.
type Change struct{ next chan struct{} } // made by a waiter

// Next is closed at the next change.
func (c *Change) Next() <-chan struct{} {
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

// Tell says that something has changed. It costs nothing as long as nobody waits.
func (c *Change) Tell() {
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}
