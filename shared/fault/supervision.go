package fault

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// ErrActorLost is matched by every error that says that an actor, or the link to it, is lost
// without anybody having asked for that: ActorDied, LinkLost, HostLost, ActorUnhealthy and ActorStuck. Work
// that was under way in it may have been done or not; where a supervisor restarts it, it can be
// called again.
//
// It has no name on the wire: the far end finds it through the type that matches it, which is
// registered there. That type says more, and a name beside it would be a second truth.
var ErrActorLost = errors.New("actor lost")

// Is matches ErrActorLost.
func (e *ActorDied) Is(target error) bool { return target == ErrActorLost }

// Is matches ErrActorLost.
func (e *LinkLost) Is(target error) bool { return target == ErrActorLost }

// Is matches ErrActorLost.
func (e *HostLost) Is(target error) bool { return target == ErrActorLost }

// Is matches ErrActorLost.
func (e *ActorUnhealthy) Is(target error) bool { return target == ErrActorLost }

// Is matches ErrActorLost.
func (e *ActorStuck) Is(target error) bool { return target == ErrActorLost }

// ErrActorDown means that the actor is between two processes, and its portal is set not to
// wait for the next one.
var ErrActorDown = errors.New("actor down")

// ActorUnhealthy says that a process was alive and failed its health checks, and
// was ended for that. It matches [ErrActorLost]. Time in which the machine had no processor for
// the process does not count against the bound of a check: slow is not dead.
type ActorUnhealthy struct {
	ID     actor.ID `json:"id"`
	Checks int      `json:"checks"` // that failed, in a row: the spec's health.failures
	Last   string   `json:"last"`   // what the last one said
}

func (e *ActorUnhealthy) Error() string {
	return fmt.Sprintf("actor %s is unhealthy: %d health checks failed in a row; the last one: %s", e.ID, e.Checks, e.Last)
}

// ActorStuck says that a task of an actor was told to end and went on, and that the
// actor was ended for that (Spec.Stuck). It matches [ErrActorLost]. A goroutine cannot be ended
// from outside in Go; the process that it runs in can, which is why a single stuck task may cost
// the whole actor.
type ActorStuck struct {
	ID       actor.ID      `json:"id"`
	Endpoint string        `json:"endpoint"` // of the task that had been stuck for longest
	For      time.Duration `json:"for"`      // since the cancel bound was over, within which it should have ended
}

func (e *ActorStuck) Error() string {
	return fmt.Sprintf("actor %s is stuck: its task of %q was told to end, and went on for %v", e.ID, e.Endpoint, e.For)
}

// RestartLimit says that a supervisor has given up: its actors failed more often
// than it may restart them. It wraps the last failure, as what it was to errors.Is
// and errors.As. The encoded fields leave Err out: as a cause it has a node of its own, which
// keeps its type and origin.
type RestartLimit struct {
	Supervisor actor.ID `json:"supervisor"`
	Actor      string   `json:"actor"` // the name of the one that failed last
	Max        int      `json:"max"`   // restarts that are allowed, 3 if nothing else is set
	// Window is the time within which all restarts count, and Stable the run after
	// which those of one actor count anew. The one that is not zero was passed.
	Window time.Duration `json:"window,omitempty"`
	Stable time.Duration `json:"stable,omitempty"`
	Err    error         `json:"-"` // its failure; travels as a cause
}

func (e *RestartLimit) Error() string {
	if e.Window == 0 {
		return fmt.Sprintf("actor %q of %s failed too often (more than %d restarts, and never up for %v): %v",
			e.Actor, e.Supervisor, e.Max, e.Stable, e.Err)
	}
	return fmt.Sprintf("the actors of %s failed too often (more than %d restarts within %v), last %q: %v",
		e.Supervisor, e.Max, e.Window, e.Actor, e.Err)
}

// Unwrap returns the last failure.
func (e *RestartLimit) Unwrap() error { return e.Err }
