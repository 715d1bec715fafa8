package self

import (
	"math"
	"sync"
	"time"
)

// Ending is what an actor knows of its own end: why it ends, and when its parent will use
// force. Neither is known before the end begins. A host inside the actor ends its own
// children in that name and within that time. All methods may be called at the same time;
// those that read may be called on a nil Ending, which is that of a root host: nobody ends
// it.
type Ending struct {
	bounded chan struct{} // closed when until is known

	mu    sync.Mutex // guards until and cause
	until time.Time  // when the parent will use force
	cause error      // why the actor ends
}

// NewEnding returns the ending of an actor that nobody has asked to end.
func NewEnding() *Ending { return &Ending{bounded: make(chan struct{})} }

// Bound sets when the parent will use force. Only the first time counts.
func (e *Ending) Bound(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until.IsZero() {
		e.until = until
		close(e.bounded)
	}
}

// Bounded is closed when it is known how long the parent will wait.
func (e *Ending) Bounded() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.bounded
}

// Left is how long the parent will wait from now on: for ever, as far as is known
// before Bounded is closed.
func (e *Ending) Left(now time.Time) time.Duration {
	if e == nil {
		return math.MaxInt64
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until.IsZero() {
		return math.MaxInt64
	}
	return e.until.Sub(now)
}

// Give sets why the actor ends. Only the first cause counts.
func (e *Ending) Give(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause == nil {
		e.cause = cause
	}
}

// Cause is why the actor ends; nil as long as it does not.
func (e *Ending) Cause() error {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cause
}
