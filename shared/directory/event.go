package directory

import (
	"time"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// State is what an actor is doing.
type State string

// The states.
const (
	Waiting   State = "waiting"   // no process: for what it needs, or its pause before a restart
	Starting  State = "starting"  // its process is coming up
	Ready     State = "ready"     // it can be called
	Unhealthy State = "unhealthy" // it can be called, and its last health check failed
	Stopping  State = "stopping"  // its process is being ended
	Reaped    State = "reaped"    // its process is gone
	Gone      State = "gone"      // it is over; there will be no further process
	Standby   State = "standby"   // the process is a spare: it waits to be the next one of an actor
)

// Callable reports whether an actor in this state can be called.
func (s State) Callable() bool { return s == Ready || s == Unhealthy }

// Cause sorts why an actor ended.
type Cause string

// The causes.
const (
	Requested Cause = "requested" // somebody ended it: its host, a strategy, its nursery
	Finished  Cause = "finished"  // by itself, and well
	Crashed   Cause = "crashed"   // its process died, or it failed
	Transport Cause = "transport" // its link broke while its process lived
	Sick      Cause = "unhealthy" // its health checks failed
	Stuck     Cause = "stuck"     // a task of it was told to end, and went on for too long
	NotUp     Cause = "start"     // it did not come up
	Lost      Cause = "lost"      // its host has ended without it, or tells no more of it; or its place in the directory is lost
)

// Event is one step in the life of an actor, told by its host in the moment in which the step
// is made: what a portal's State says, and what calls find, is what the last event has told.
//
// A spare has a path of its own beside the actor, is in Standby, and then Gone: with a Cause if it
// has ended or has not come up, and without one if an actor has taken it, which is Starting then
// with the identity of that process.
type Event struct {
	Time time.Time `json:"time"`
	// Path leads from the root of the tree to the actor, as in "census/parser": the names of
	// its hosts, and its own. Of several actors of one name beside each other, the second has
	// "parser#2". It stays with the actor through restarts, and is unique among those that are
	// there.
	Path  string   `json:"path"`
	Actor actor.ID `json:"actor"` // the process; between two processes the last one; before the first that one, without a pid
	// Epoch counts the processes of the actor, from 1; 0 before the first.
	Epoch int `json:"epoch,omitempty"`
	// Seq numbers what the actor's own host has told of all of its actors, from 1. Where
	// one is missing, an event with Missed or a *fault.Lagged has said so. It is 0 if
	// another one tells the event in that host's stead: a host further up, whose link to it
	// is lost, or who makes up for events that were lost.
	Seq   uint64 `json:"seq,omitempty"`
	From  State  `json:"from,omitempty"` // empty: the actor is new
	To    State  `json:"to"`
	Cause Cause  `json:"cause,omitempty"` // for Stopping and Reaped, and for Gone if it is Lost
	// Reason says in one line why.
	Reason string `json:"reason,omitempty"`
	// Err is the failure behind it, nil if there is none.
	Err error `json:"-"`
	// Step is the step of a teardown that begins, "SIGTERM" or "SIGKILL", in events from
	// Stopping to Stopping.
	Step string `json:"step,omitempty"`
	// Joined is whether the actor is a program that has joined, and was not started by its host, or
	// is below one.
	Joined bool `json:"joined,omitempty"`
	// Host is the host on whose machine the process runs, empty for the machine of the actor's own host.
	Host string `json:"host,omitempty"`
	// Stuck is the endpoint of a task that was told to end and has not in time, in an
	// event that changes no state.
	Stuck string `json:"stuck,omitempty"`
	// Refused is the path of an actor whose call was refused, in an event that changes no state: a
	// call of this one, or of its host by it. Of many in a second only one is told.
	Refused string `json:"refused,omitempty"`
	// Memory is what a spare has in memory when it is ready, in bytes; 0 where that is not known.
	Memory int64 `json:"memory,omitempty"`
	// Used is what the process has used, in the event that it is reaped, and while there is no other one after it.
	Used Usage `json:"used,omitzero"`
	// Pause is how long the actor waits before its restart, in events to Waiting.
	Pause time.Duration `json:"pause,omitempty"`
	// Endpoints are what the process serves, in the event that it is ready.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// Missed is how many events of actors below this one were lost on their way, in an event
	// that changes no state. What follows says how they are now.
	Missed int `json:"missed,omitempty"`

	n uint64 // its place among all events of its registry
}

// Usage is what a process has used that is dead, with the children that it has waited for. What the system does not
// tell is 0.
type Usage struct {
	// PeakRSS is the most memory that it had at one time, in bytes.
	PeakRSS int64 `json:"peak_rss,omitempty"`
	// CPU is its processor time.
	CPU time.Duration `json:"cpu,omitempty"`
	// OOM is whether the kernel killed it, or one of its children, for lack of memory.
	OOM bool `json:"oom,omitempty"`
}

// Endpoint is something that an actor serves.
type Endpoint struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // "func", "source" or "context"
}

// String is the event in one line.
func (e Event) String() string {
	text := e.Actor.String() + " " + string(e.To)
	if e.Step != "" {
		text += ", " + e.Step
	}
	if e.Cause != "" {
		text += " (" + string(e.Cause) + ")"
	}
	if e.Stuck != "" {
		text += ", a task is stuck"
	}
	if e.Refused != "" {
		text += ", a call was refused"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}
