package self

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Ending is what an actor knows of its own end: why it ends, and when its parent will use
// force. Neither is known before the end begins. A host inside the actor ends its own
// children in that name and within that time. All methods may be called at the same time;
// those that read may be called on a nil Ending, which is that of a root host: nobody ends
// it.
type Ending struct {
	bound   sync.Once
	bounded chan struct{} // closed when until is known
	until   time.Time     // when the parent will use force

	given context.Context // whose cause is why the actor ends
	give  context.CancelCauseFunc
}

// NewEnding returns the ending of an actor that nobody has asked to end.
func NewEnding() *Ending {
	e := &Ending{bounded: make(chan struct{})}
	e.given, e.give = context.WithCancelCause(context.Background())
	return e
}

// Bound sets when the parent will use force. Only the first time counts.
func (e *Ending) Bound(until time.Time) {
	e.bound.Do(func() {
		e.until = until
		close(e.bounded)
	})
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
	if !task.Closed(e.Bounded()) {
		return math.MaxInt64
	}
	return e.until.Sub(now)
}

// Give sets why the actor ends. Only the first cause counts.
func (e *Ending) Give(cause error) { e.give(cause) }

// Cause is why the actor ends; nil as long as it does not.
func (e *Ending) Cause() error {
	if e == nil {
		return nil
	}
	return context.Cause(e.given)
}
