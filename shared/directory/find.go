package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
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
	found, err := r.Entries(ctx, name)
	if err == nil && len(found) == 0 && name != "" {
		return nil, notFound(ctx, r, name)
	}
	return found, err
}

// Find gives a portal to the actor of a name that became ready last, or to the one at a path.
// The path of the first of several actors of a name is that name; say name#1 for it. A program
// that has joined the tree, or what it hosts, is found by a name only if no other actor there
// has it.
//
// Errors: [ErrNotFound] if none is ready, with what those of the name are doing.
func Find(ctx context.Context, name string) (*Portal, error) {
	all, err := FindAll(ctx, name)
	return latest(all), err
}

// FindAll gives portals to all actors of a name that are ready, in the order of their paths.
// There is at least one. The errors are those of [Find].
func FindAll(ctx context.Context, name string) ([]*Portal, error) {
	r := From(ctx)
	if r == nil {
		return nil, errNoDirectory
	}
	portals, _, err := ready(ctx, r, name)
	if err == nil && len(portals) == 0 {
		err = notFound(ctx, r, name)
	}
	return portals, err
}

// ready gives portals to all actors of a name that are ready, and reports whether there are
// others. Programs that have joined, and what they host, count for nothing beside actors of
// the tree, ready or not: nobody takes the calls that are for those.
func ready(ctx context.Context, r Registry, name string) (portals []*Portal, others bool, err error) {
	if name == "" { // which is all of them
		return nil, false, fmt.Errorf("%w: expected a name or a path, got \"\"", ErrNotFound)
	}
	found, err := r.Entries(ctx, name)
	joined := func(e Entry) bool { return e.Last.Joined }
	if own := slices.DeleteFunc(slices.Clone(found), joined); len(own) > 0 {
		found = own
	}
	for _, e := range found {
		if e.State.Callable() {
			portals = append(portals, &Portal{r.Portal(e), e})
		}
	}
	return portals, len(found) > len(portals), err
}

// latest is the one that became ready last; nil if there are none.
func latest(portals []*Portal) *Portal {
	if len(portals) == 0 {
		return nil
	}
	return slices.MaxFunc(portals, func(a, b *Portal) int { return a.Entry.later(&b.Entry) })
}

// newest chooses the latest.
func newest(portals []*Portal) (*Portal, error) { return latest(portals), nil }

// WaitFor is Find when an actor of the name is ready; it waits for one if there is none. The
// end of ctx gives its cause.
func WaitFor(ctx context.Context, name string) (*Portal, error) {
	r := From(ctx)
	if r == nil {
		return nil, errNoDirectory
	}
	return await(ctx, r, name, true, newest)
}

// ByName is a portal to whichever actor of a name, or at a path, is ready when a dialog
// begins: it looks up anew for each one, and so leads on after a restart, and when the name
// is another actor's. A dialog stays with the process that it has begun with. While those
// of the name are there and none is ready, a call waits for one, bounded by its ctx; if
// there are none it fails with [ErrNotFound]. It needs no closing, and keeps nothing alive.
func ByName(ctx context.Context, name string) contract.Portal {
	r := From(ctx)
	return endpoint.Reach(func(ctx context.Context) (t dialog.Target, err error) {
		if r == nil {
			return t, errNoDirectory
		}
		for {
			p, err := await(ctx, r, name, false, newest)
			if err != nil {
				return t, err
			}
			// Whichever process is there when the dialog gets there, be it the one that was
			// found or the next one.
			t, err = r.Portal(Entry{Path: p.Entry.Path}).Table(ctx)
			if !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) { // else another one is on its way
				return t, err
			}
		}
	})
}

// await gives a portal to the one that choose picks of those of a name that are ready, once
// there is one. If there are none of the name it fails, unless it is to wait for one that
// comes.
func await(ctx context.Context, r Registry, name string, come bool, choose func(ready []*Portal) (*Portal, error)) (*Portal, error) { //nolint:cyclop // a loop with several ways out
	look := func() (*Portal, error) {
		all, others, err := ready(ctx, r, name)
		if err == nil && len(all) == 0 && !others && !come {
			err = notFound(ctx, r, name)
		}
		if err != nil {
			return nil, err
		}
		return choose(all)
	}
	if p, err := look(); p != nil || err != nil {
		return p, err
	}
	for e, err := range r.Watch(ctx, name) {
		if err != nil && !lagged(err) {
			return nil, err
		}
		if ctx.Err() != nil {
			break
		}
		// A look may go through the whole tree, or to another process. The end of one may
		// uncover another one.
		if err == nil && e.Path != "" && !e.To.Callable() && e.To != Gone {
			continue
		}
		if p, err := look(); p != nil || err != nil {
			return p, err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the tree has ended", ErrNotFound)
}

func lagged(err error) bool {
	_, ok := errors.AsType[*fault.Lagged](err)
	return ok
}

// Watch tells when actors of a name, or the one at a path, become ready, and when they are
// gone; of all of them if name is "". It begins with those that are ready, and then tells each
// thing once: an event to [Ready], or to another state that is Callable, of a first process,
// or of a later one if Epoch is above 1; and an event to [Gone], whose Cause, Reason and Err
// say why. Programs that have joined are told, too (Joined). It owns none of them and keeps
// none alive, and ends with ctx or with the tree. A loop that is too slow misses no end and no
// process that is still there; it gets a [*fault.Lagged] and goes on; any other error is the
// last thing that it gets.
func Watch(ctx context.Context, name string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r := From(ctx)
		if r == nil {
			yield(Event{}, errNoDirectory)
			return
		}
		var m monitor
		for e, err := range r.Watch(ctx, name) {
			if err == nil && !m.tells(&e) {
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
func (m *monitor) tells(e *Event) bool {
	if e.Path == "" { // those that are ready have been told
		return false
	}
	before := m.table.at(e.Path)
	m.table.Apply(*e)
	if e.To != Gone {
		return m.table.at(e.Path).up != before.up
	}
	if e.Cause == "" {
		e.Cause, e.Reason, e.Err = before.Last.Cause, before.Last.Reason, before.Last.Err
	}
	return before.Path != "" && before.State != Standby
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
	// ErrLost means that an actor's process was ended since its registry has given up its
	// place ([Membership]).
	ErrLost = errors.New("place in the directory lost")
)

// init makes them known to errors.Is on the far side of a link.
func init() {
	fault.Sentinel("trellis.NotFound", ErrNotFound)
	fault.Sentinel("trellis.Stale", ErrStale)
	fault.Sentinel("trellis.NotReachable", ErrNotReachable)
	fault.Sentinel("trellis.PlaceLost", ErrLost)
}

func notFound(ctx context.Context, r Registry, name string) error {
	text, err := r.Missing(ctx, name)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrNotFound, text)
}
