package host

import "time"

// step is one step of the teardown ladder of a child.
type step uint8

// The steps, in the order of the next.
const (
	stepAsk       step = iota // the child was asked to end; its ack is awaited
	stepWait                  // it has acked, or could not be asked; its exit is awaited
	stepTerminate             // its group was sent SIGTERM
	stepKill                  // its group was sent SIGKILL; only the reaping is awaited
)

func (s step) String() string {
	return [...]string{"cancel request", "wait for exit", "SIGTERM", "SIGKILL"}[s]
}

// trigger is why a teardown goes to the next step.
type trigger uint8

const (
	answered  trigger = iota // the child has acked: nothing is wrong
	elapsed                  // the request was not answered in time
	lingering                // the process has not exited in time
	unheard                  // the child cannot be asked: its link is gone
	unasked                  // the child is a foreign program that cannot be asked
	mute                     // the child does not answer its health checks
	hurried                  // somebody does not want to wait any longer
)

func (t trigger) String() string {
	return [...]string{"acknowledged", "no answer in time", "it has not exited in time", "no link", "it cannot be asked", "no answer to health checks", "hurried"}[t]
}

// next is the ladder, a pure function: the step after r. There is none after
// killing; whoever hurries goes there at once. There is no use in waiting for what
// was not asked.
func next(s step, t trigger) step {
	switch {
	case t == hurried:
		return stepKill
	case t == unasked && s == stepAsk:
		return stepTerminate
	}
	return min(s+1, stepKill)
}

// bounds are the times of the steps.
type bounds struct{ cancel, grace, terminate time.Duration }

// levelGrace is what an actor that hosts others has beyond the grace of any of them:
// they end one level after the other, the lowest first.
const levelGrace = 250 * time.Millisecond

// boundsOf are the times for an actor, the defaults where its spec says nothing.
func boundsOf(spec Spec) bounds {
	return bounds{
		cancel:    orDefault(time.Duration(spec.CancelTimeout), DefaultCancelTimeout),
		grace:     graceOf(spec),
		terminate: orDefault(time.Duration(spec.TermTimeout), DefaultTermTimeout),
	}
}

func graceOf(spec Spec) time.Duration {
	grace := DefaultGrace
	if spec.GoPlugin != nil {
		grace = DefaultForeignGrace
	}
	for _, hosted := range spec.Actors {
		grace = max(grace, graceOf(hosted)+levelGrace)
	}
	return orDefault(time.Duration(spec.Grace), grace)
}

// What a host does with the time that it has, if it is being ended itself.
const (
	// forceSlice is what it keeps at the end of that time: to kill a child that has not
	// ended by then, and to end itself. It is the same at every level, so that what is
	// left to a level depends on the number of those above it and on nothing else.
	forceSlice = 100 * time.Millisecond
	// leastWait is what a child has for its answer, and again for its exit, even if its
	// host has no time left. A child that obeys needs no more, and force would help
	// nobody: the host's own parent uses it when its patience is over.
	leastWait = 100 * time.Millisecond
)

// within fits the steps to come into what is left until this host's own parent uses
// force. None is shortened that fits, and the wait for an answer that does not come is
// not taken off anything: all end at one moment.
func (b bounds) within(left time.Duration) bounds {
	left -= forceSlice
	return bounds{
		cancel:    min(b.cancel, max(left, leastWait)),
		grace:     min(b.grace, max(left, leastWait)),
		terminate: min(b.terminate, max(left, 0)+forceSlice/4),
	}
}

// of is how long a step may take. Only killing has no bound: the kernel does it.
func (b bounds) of(s step) time.Duration {
	switch s {
	case stepAsk:
		return b.cancel
	case stepWait:
		return b.grace
	case stepTerminate:
		return b.terminate
	case stepKill:
	}
	return 0
}
