package actor

import (
	"fmt"

	"github.com/google/uuid"
)

// ID identifies one actor: one process, once. Names need not be unique and pids are reused,
// so that two IDs are of the same actor exactly when their UUIDs are the same; ask [ID.Is],
// and do not compare with ==. The zero ID is nobody. An ID is a plain value: it may be
// copied, sent as a part of messages and of errors, and outlives its actor.
type ID struct {
	Name string `json:"name"` // as its host has it in its Spec; the root's own is "host" if not set
	UUID string `json:"uuid"` // 36 characters; "" for nobody
	// PID is the number of the process, for people, who look for it in logs and process lists.
	// It is 0 as long as the process is not known.
	PID int `json:"pid,omitempty"`
}

// NewID returns a fresh identity with the given name and no pid. The runtime makes those of
// actors; a program needs it for tests of errors that name one.
func NewID(name string) ID { return ID{Name: name, UUID: uuid.NewString()} }

// Is reports whether both are the same actor.
func (id ID) Is(other ID) bool { return id.UUID == other.UUID }

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id.UUID == "" }

// Short returns the first eight digits of the UUID, which are enough for people to tell
// the actors of one tree apart.
func (id ID) Short() string { return id.UUID[:min(8, len(id.UUID))] }

// String returns "name@uuid8", which is how logs and the texts of errors name an actor, or
// "nobody" for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return "nobody"
	}
	return id.Name + "@" + id.Short()
}

// Title is what a process list shows of the actor: "trellis[name@uuid8]".
func (id ID) Title() string { return fmt.Sprintf("trellis[%s]", id) }
