package directory

import (
	"context"
	"iter"
	"time"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Registry is where the events of a tree come together. Each host has one for what it hosts,
// however many levels there are below; that of the root has the whole tree, and what the others
// do not have they ask their own hosts for. It may be used from any goroutine.
type Registry interface {
	// Path is where the actor is whose registry this is; "" is the root.
	Path() string
	// Has reports whether a path is below that, so that the actor there joins this registry or
	// is told of to it.
	Has(path string) bool
	// Where is the path of a process that the registry was told of and that is there.
	Where(id actor.ID) (path string, there bool)
	// Join takes in an actor of a name, which gets a path of its own. call gives portals to the
	// actor, and to those below it; for an entry without an Actor to whichever process is there.
	Join(name string, call func(Entry) contract.Portal) Membership
	// Entries are those that are in the tree, of a name or at a path, in the order of their
	// paths; all of them if name is "". A path that ends with # is that of all which have it
	// but for their number. It waits for no actor but those that are asked.
	Entries(ctx context.Context, name string) ([]Entry, error)
	// Missing says in words, for an error, what there is where no actor of a name or at a path
	// is ready: those of the name, and what they are doing, or some of the others.
	Missing(ctx context.Context, name string) (string, error)
	// Portal leads to the process of an entry, and to no other one; to whichever is at its
	// path if it has no Actor.
	Portal(e Entry) contract.Portal
	// Events ranges over what has happened so far to what the actor hosts, as far as it is
	// kept, and then over all that happens. Watch is about actors of a name in the tree, or
	// all of them, and begins with the last event of each one that is there, and one
	// without a path, which says that these were all. A *fault.Lagged says how many events
	// are missing: of the past those that are not kept, and the oldest ones of what a slow
	// loop is behind. From the events that follow it comes the same table as from those
	// that are missing. Any other error is the last thing that it gets. The loops end with
	// ctx, and with the registry.
	Events(ctx context.Context) iter.Seq2[Event, error]
	Watch(ctx context.Context, name string) iter.Seq2[Event, error]
}

// Membership is the place of one actor in a registry, with all that it hosts. Its host has
// made it, and leaves it with the event that the actor is gone.
type Membership interface {
	// Path is the path of the actor, from the root of the tree.
	Path() string
	// Epoch is above those of all memberships that the registry has given before. A path
	// may be used again, and of two actors that have had it the epochs say which one is the
	// later.
	Epoch() uint64
	// Publish tells an event of the actor itself. It never waits.
	Publish(e Event)
	// Pass passes on an event of an actor below, as the actor itself has told it. What it says
	// of others than those below it, or more than it may say, is refused with an error.
	Pass(e Event) error
	// Close tells of all below the actor that they are gone, and why: nothing more comes from it.
	Close(reason string, err error)
	// Until is when the registry gives the path away if it does not hear from this host
	// before; zero if it never does, as in the memory of one process.
	Until() time.Time
	// Lost is closed when the membership is over: the actor is told gone, or the registry has
	// ended, or, at Until at the latest, it does not know of the actor any more. Nothing that
	// is told counts then. A process that is there is ended with [ErrLost], since the path may
	// be another one's.
	Lost() <-chan struct{}
}

// With returns a ctx whose nurseries join r, and under which r is the directory.
func With(ctx context.Context, r Registry) context.Context { return ctxvalue.With(ctx, r) }

// Here is where the actor is in its tree to which the code under ctx belongs: its path, as
// those that look it up have it; "" is the root.
func Here(ctx context.Context) string {
	if r := From(ctx); r != nil {
		return r.Path()
	}
	return ""
}

// From is the registry of a ctx; nil if there is none.
func From(ctx context.Context) Registry { return ctxvalue.Of[Registry](ctx) }
