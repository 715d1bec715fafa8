package route

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Router is what one actor knows of where it is in its tree. It is set before
// the first link reads, but for Up, which is set before the first one
// downwards, and does not change then: there is no lock but that of the
// nurseries, which come and go.
type Router struct {
	Self, Parent, Root actor.ID // Parent is nobody at the root
	Up                 *dialog.Table
	Down               Below

	mu        sync.Mutex            // guards the rest
	nurseries map[*Nursery]struct{} // that the actor has open
}

// Below is what the actor hosts. A [directory.Memory] is one.
type Below interface {
	// Path is that of the actor itself; "" is the root.
	Path() string
	// Has reports whether a path is below that.
	Has(path string) bool
	// Portal leads to the process of an entry, or to any at its path if that
	// names none.
	Portal(e directory.Entry) contract.Portal
	// Entries are all that are there.
	Entries(ctx context.Context, name string) ([]directory.Entry, error)
	// Where is the path of a process that is there.
	Where(id actor.ID) (path string, there bool)
}

// With returns a ctx in which From finds r.
func With(ctx context.Context, r *Router) context.Context { return ctxvalue.With(ctx, r) }

// From is the router of the actor whose code runs under ctx; nil if there is
// none.
func From(ctx context.Context) *Router { return ctxvalue.Of[*Router](ctx) }

// To leads to a process by its path from the root, and to no other one; to
// whichever is there if id is nobody. What is not below goes by the parent,
// this actor itself and the parent too: they serve others what they serve all.
func (r *Router) To(at string, id actor.ID) endpoint.Reach {
	if r.Down.Has(at) {
		return r.Down.Portal(directory.Entry{Path: at, Actor: id}).Table
	}
	return func(context.Context) (dialog.Target, error) {
		if r.Up == nil {
			return dialog.Target{}, fmt.Errorf("%w: %q is the root, which has no link to itself", directory.ErrNotReachable, at)
		}
		return r.Up.To(&wire.Address{Path: at, Actor: wire.FromID(id)}), nil
	}
}

// FromParent is where a START goes on to that has come from the parent, which
// may speak for anybody.
func (r *Router) FromParent(s *wire.Start) (*dialog.Table, error) {
	if s.Opener == nil {
		s.Opener = address(treepath.Host(r.Down.Path()), r.Parent)
	}
	if s.Target.Path != r.Down.Path() {
		return r.down(s)
	}
	if id := s.Target.Actor.ToID(); !id.IsZero() && !id.Is(r.Self) {
		return nil, Stale(s.Target.Path, s.Target.Actor.ToID())
	}
	return nil, nil //nolint:nilnil // it is for this actor
}

// FromChild is where a START goes on to that has come from an actor that this
// one hosts, at a path, with an identity that its certificate has shown. It
// may speak for itself, and for those below it.
func (r *Router) FromChild(s *wire.Start, at string, id actor.ID) (*dialog.Table, error) {
	if s.Opener == nil || s.Opener.Path == at {
		s.Opener = address(at, id)
	} else if err := r.vouch(s, at); err != nil {
		return nil, err
	}
	if r.Down.Has(s.Target.Path) {
		return r.down(s)
	}
	if r.Up != nil {
		return r.Up, nil
	}
	if s.Target.Path != "" {
		return nil, fmt.Errorf("%w: %.100q", directory.ErrNotFound, s.Target.Path)
	}
	if id := s.Target.Actor.ToID(); !id.IsZero() && !id.Is(r.Self) {
		return nil, Stale(s.Target.Path, s.Target.Actor.ToID())
	}
	return nil, nil //nolint:nilnil // the same
}

// vouch checks the opener that a child says is below it: by its path, and by
// its identity, which must not be that of an actor elsewhere. Its name is that
// of the path, which stands in events and logs.
func (r *Router) vouch(s *wire.Start, child string) error {
	id := s.Opener.Actor.ToID()
	known, there := r.Down.Where(id)
	if !treepath.Valid(s.Opener.Path) || !treepath.IsBelow(s.Opener.Path, child) || id.IsZero() || there && known != s.Opener.Path || id.Is(r.Self) || id.Is(r.Parent) || id.Is(r.Root) {
		return fmt.Errorf("%w: %s speaks for %.100q, which is not below it", fault.ErrProtocol, child, s.Opener.Path)
	}
	id.Name = treepath.Name(s.Opener.Path)
	s.Opener.Actor = wire.FromID(id)
	return nil
}

// down is the link to the child that the target is, or that hosts it.
func (r *Router) down(s *wire.Start) (*dialog.Table, error) {
	if !r.Down.Has(s.Target.Path) {
		return nil, fmt.Errorf("%w: %.100q is not below %s", directory.ErrNotFound, s.Target.Path, r.Down.Path())
	}
	t, err := r.Down.Portal(directory.Entry{Path: s.Target.Path, Actor: s.Target.Actor.ToID()}).Table(context.Background())
	return t.Table, err
}

func address(at string, id actor.ID) *wire.Address {
	return &wire.Address{Path: at, Actor: wire.FromID(id)}
}

// Stale is why a process cannot be reached that is not at a path any more.
func Stale(at string, id actor.ID) error {
	return fmt.Errorf("%w: %s of %.100q is gone; find the actor again", directory.ErrStale, id, at)
}
