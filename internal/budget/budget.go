// Package budget tells a host that is itself being ended how long its parent will
// wait, so that it ends its own children within that time.
package budget

import (
	"context"
	"sync"
	"time"
)

// Budget is a moment that is not known before the end begins. All methods may be
// called at the same time.
type Budget struct {
	mu  sync.Mutex
	end time.Time
}

type key struct{}

// With returns a ctx in which From finds b.
func With(ctx context.Context, b *Budget) context.Context { return context.WithValue(ctx, key{}, b) }

// From finds the budget of the actor that the code under ctx runs in; nil if there
// is none, as in a root host.
func From(ctx context.Context) *Budget {
	b, _ := ctx.Value(key{}).(*Budget)
	return b
}

// Set says when the parent will use force.
func (b *Budget) Set(end time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end = end
}

// Left is how long that is from now; ok is false while nobody has said so. b may be
// nil.
func (b *Budget) Left(now time.Time) (left time.Duration, ok bool) {
	if b == nil {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.end.Sub(now)), !b.end.IsZero()
}
