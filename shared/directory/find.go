package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Portal leads to one process of an actor that was found, as Entry says it was then. It is
// never another process: when this one is gone, calls fail with what it ended with, or with
// [ErrStale]. It needs no closing, and keeps nothing alive.
type Portal struct {
	contract.Portal

	Entry Entry
}

// Query gives the entries of a name, or that at a path, in the order of their paths; all of
// them if name is "". It connects to nobody, and what it gives may be in any state.
//
// Errors: [ErrNotFound], with the paths of those that are there.
func Query(ctx context.Context, name string) ([]Entry, error) {
	r := From(ctx)
	if r == nil {
		return nil, errNoDirectory
	}
	found := r.Entries(name)
	if len(found) == 0 && name != "" {
		return nil, notFound(r, name)
	}
	return found, nil
}

// Find gives a portal to the actor of a name that became ready last, or to the one at a path.
//
// Errors: [ErrNotFound] if none is ready, with what those of the name are doing.
func Find(ctx context.Context, name string) (*Portal, error) {
	all, err := FindAll(ctx, name)
	if err != nil {
		return nil, err
	}
	return slices.MaxFunc(all, func(a, b *Portal) int { return cmp.Compare(a.Entry.up, b.Entry.up) }), nil
}

// FindAll gives portals to all actors of a name that are ready, in the order of their paths.
// There is at least one. The errors are those of [Find].
func FindAll(ctx context.Context, name string) ([]*Portal, error) {
	found, err := Query(ctx, name)
	if err != nil {
		return nil, err
	}
	r := From(ctx)
	var portals []*Portal
	for _, e := range found {
		if e.State.Callable() {
			portals = append(portals, &Portal{r.Portal(e), e})
		}
	}
	if len(portals) == 0 {
		return nil, notFound(r, name)
	}
	return portals, nil
}

// WaitFor is Find when an actor of the name is ready; it waits for one if there is none. The
// end of ctx gives its cause.
func WaitFor(ctx context.Context, name string) (*Portal, error) {
	r := From(ctx)
	if r == nil {
		return nil, errNoDirectory
	}
	if p, err := Find(ctx, name); err == nil {
		return p, nil
	}
	for e, lagged := range r.Watch(ctx) {
		if ctx.Err() != nil {
			break
		}
		at := Entry{Path: e.Path, Actor: e.Actor}
		if lagged == nil && (!e.To.Callable() || !at.named(name)) {
			continue // a look goes through the whole tree
		}
		if p, err := Find(ctx, name); err == nil {
			return p, nil
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the tree has ended", ErrNotFound)
}

// Watch tells when actors of a name, or the one at a path, become ready, and when they are
// gone. It begins with those that are ready, and then tells each thing once: an event to [Ready] of
// a first process, or of a later one if Epoch is above 1; and an event to [Gone], whose Cause,
// Reason and Err say why. It owns none of them and keeps none alive, and ends with ctx or with
// the tree. A loop that is too slow misses no end and no process that is still there; it gets a
// [*fault.Lagged] and goes on.
func Watch(ctx context.Context, name string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r := From(ctx)
		if r == nil {
			yield(Event{}, errNoDirectory)
			return
		}
		var m monitor
		for e, err := range r.Watch(ctx) {
			if err == nil && !m.tells(&e, name) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// monitor picks the events that [Watch] tells. It folds them, since what it tells depends on
// what it has told.
type monitor struct{ table Table }

// tells reports whether an event is to be told, and gives an end the reason that was told before
// it, when the last process was reaped.
func (m *monitor) tells(e *Event, name string) bool {
	before, known := m.table.entries[e.Path]
	m.table.Apply(*e)
	if e.To != Gone {
		after := m.table.entries[e.Path]
		return after.up != before.up && after.named(name)
	}
	if e.Cause == "" {
		e.Cause, e.Reason, e.Err = before.Last.Cause, before.Last.Reason, before.Last.Err
	}
	return known && before.named(name) && before.State != Standby
}

// The errors, for errors.Is.
var (
	// ErrNotFound means that no actor of a name is there, or that none is ready. Its text says
	// which are.
	ErrNotFound = errors.New("actor not found")
	// ErrStale means that the process to which a portal was found is gone.
	ErrStale = errors.New("stale portal")
	// ErrNotReachable means that an actor is there, and cannot be called from here.
	ErrNotReachable = errors.New("actor not reachable")
)

// init makes them known to errors.Is on the far side of a link.
func init() {
	fault.Sentinel("trellis.NotFound", ErrNotFound)
	fault.Sentinel("trellis.Stale", ErrStale)
	fault.Sentinel("trellis.NotReachable", ErrNotReachable)
}

func notFound(r Registry, name string) error {
	var same, others []string
	for _, e := range r.Entries("") {
		if e.named(name) {
			same = append(same, fmt.Sprintf("%s is %s", e.Path, e.State))
		} else {
			others = append(others, e.Path)
		}
	}
	switch {
	case len(same) > 0:
		return fmt.Errorf("%w: none named %s is ready; %s", ErrNotFound, words.Quote(name), words.List(same, ", "))
	case len(others) == 0:
		return fmt.Errorf("%w: %s; there are none", ErrNotFound, words.Quote(name))
	}
	return fmt.Errorf("%w: %s; there are %s%s", ErrNotFound, words.Quote(name), words.List(others, ", "), words.DidYouMean(name, others))
}
