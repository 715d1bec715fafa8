// Package ending lets a host that is itself being ended know who wants that and how long
// they will wait, so that it ends its own children in their name and within that time.
package ending

import (
	"context"
	"math"
	"sync"
	"time"
)

// Notice is what an actor knows of its own end. Neither part of it is known before the
// end begins. All methods may be called at the same time; those that read may be called
// on a nil Notice, which is that of a root host: nobody ends it.
type Notice struct {
	bounded chan struct{} // closed when until is known

	mu    sync.Mutex
	until time.Time // when the parent will use force
	cause error     // why the actor ends
}

// New is the notice of an actor that nobody has asked to end.
func New() *Notice { return &Notice{bounded: make(chan struct{})} }

type key struct{}

// With returns a ctx in which From finds n.
func With(ctx context.Context, n *Notice) context.Context { return context.WithValue(ctx, key{}, n) }

// From finds the notice of the actor that the code under ctx runs in; nil if there
// is none, as in a root host.
func From(ctx context.Context) *Notice {
	n, _ := ctx.Value(key{}).(*Notice)
	return n
}

// Bound says when the parent will use force. Only the first time counts.
func (n *Notice) Bound(until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.until.IsZero() {
		n.until = until
		close(n.bounded)
	}
}

// Bounded is closed when it is known how long the parent will wait.
func (n *Notice) Bounded() <-chan struct{} {
	if n == nil {
		return nil
	}
	return n.bounded
}

// Left is how long the parent will wait from now on: for ever, as far as is known
// before Bounded is closed.
func (n *Notice) Left(now time.Time) time.Duration {
	if n == nil {
		return math.MaxInt64
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.until.IsZero() {
		return math.MaxInt64
	}
	return n.until.Sub(now)
}

// Give says why the actor ends. Only the first cause counts.
func (n *Notice) Give(cause error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cause == nil {
		n.cause = cause
	}
}

// Cause is why the actor ends, nil while it does not.
func (n *Notice) Cause() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cause
}
