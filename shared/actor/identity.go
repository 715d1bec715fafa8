// Package actor says who is who: an actor is one OS process, the root host or a
// plugin, and its identity is a name, a UUID and a pid.
package actor

import (
	"context"
	"fmt"
	"os"

	"github.com/google/uuid"
)

// ID identifies one actor. Names need not be unique and pids are reused; two
// actors are the same exactly when their UUIDs are. The zero ID is nobody.
type ID struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	PID  int    `json:"pid,omitempty"` // for people; 0 when not known yet
}

// NewID returns a fresh identity with the given name and no pid.
func NewID(name string) ID { return ID{Name: name, UUID: uuid.NewString()} }

// Self returns a fresh identity for this process.
func Self(name string) ID {
	id := NewID(name)
	id.PID = os.Getpid()
	return id
}

// Is reports whether both are the same actor.
func (id ID) Is(other ID) bool { return id.UUID == other.UUID }

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id.UUID == "" }

// Short returns the first eight digits of the UUID.
func (id ID) Short() string { return id.UUID[:min(8, len(id.UUID))] }

// String returns "name@uuid8".
func (id ID) String() string {
	if id.IsZero() {
		return "nobody"
	}
	return id.Name + "@" + id.Short()
}

// Title is what a process list shows: "trellis[name@uuid8]".
func (id ID) Title() string { return fmt.Sprintf("trellis[%s]", id) }

type selfKey struct{}

// WithSelf returns a ctx in which From finds id: the actor that runs the code.
func WithSelf(ctx context.Context, id ID) context.Context {
	return context.WithValue(ctx, selfKey{}, id)
}

// From returns the actor that the code under ctx runs in; ok is false outside
// of any actor.
func From(ctx context.Context) (id ID, ok bool) {
	id, ok = ctx.Value(selfKey{}).(ID)
	return id, ok
}
