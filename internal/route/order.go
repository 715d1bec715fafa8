package route

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// Obey carries out an order about the actor at its path. mine is whether that
// is below whoever obeys.
type Obey func(ctx context.Context, r wire.OrderRequest) (answer []byte, mine bool, err error)

// What a change does that [wire.OrderApply] tells of.
const (
	ChangeAdd       = "add"
	ChangeRemove    = "remove"
	ChangeScale     = "scale"
	ChangeRestart   = "restart"
	ChangeSupervise = "supervise"
	ChangeAsk       = "ask"
)

// Nursery is what a router asks one of the actor's for.
type Nursery struct {
	Obey    Obey
	Measure Measure
}

// Hosts has a nursery of the actor's asked, until it has ended.
func (r *Router) Hosts(n Nursery) (ended func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nurseries == nil {
		r.nurseries = map[*Nursery]struct{}{}
	}
	r.nurseries[&n] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.nurseries, &n)
	}
}

// open are the nurseries that the actor has now.
func (r *Router) open() []*Nursery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.nurseries))
}

// Order has an order carried out about an actor below, by whichever nursery
// hosts it, or a host of it.
func (r *Router) Order(ctx context.Context, q wire.OrderRequest) ([]byte, error) {
	for _, n := range r.open() {
		if answer, mine, err := n.Obey(ctx, q); mine {
			return answer, err
		}
	}
	return nil, fmt.Errorf("%w: %.100q", directory.ErrNotFound, q.Path)
}

// Obey is the task of [wire.Order] for an actor whose host gives the orders.
func (r *Router) Obey(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	q, err := Ordered(d)
	if err != nil {
		return nil, err
	}
	return r.Order(ctx, q)
}

// Ordered is the argument of [wire.Order].
func Ordered(d *dialog.Dialog) (q wire.OrderRequest, err error) {
	if err := codecs.CBOR.Unmarshal(d.Args(), &q); err != nil {
		return q, fmt.Errorf("%s: %w", wire.Order, err)
	}
	return q, nil
}
