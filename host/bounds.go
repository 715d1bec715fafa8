package host

import (
	"math/rand/v2"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// How long the host waits for what follows a death, before it goes by what it knows.
const (
	// drainBound is how long what a dead process has sent may take to be read.
	// It is bounded because the end of the connection may never be read: a process that the
	// dead one has forked may hold its end of the socket open.
	drainBound = 50 * time.Millisecond
	// deathBound is how long the end of a process may take that has lost its link
	// without a word: a dying process closes its connections first, and on a busy
	// machine is reaped much later. How it died says more than that the link is lost.
	// The tests found 50 ms to be too short on a busy machine: under the race detector a
	// crash was then reported as a failed health check.
	deathBound = 500 * time.Millisecond
)

// closedWithin reports whether done is closed within the bound. It is for what follows
// from something that has already happened, and so is expected at once: the bound only
// limits how long the host can be kept waiting if it does not follow.
func closedWithin(done <-chan struct{}, bound time.Duration) bool {
	return task.ClosedWithin(done, bound)
}

// isClosed reports whether done is closed now.
func isClosed(done <-chan struct{}) bool { return task.Closed(done) }

// bounds are how long the steps of a teardown may take: cancel, from the request to its
// answer; grace, from there to the exit; terminate, from SIGTERM to SIGKILL.
// A spec has one set of them for the life of its actor; [bounds.within] shortens a copy
// for a host that is being ended itself.
type bounds struct{ cancel, grace, terminate time.Duration }

// levelGrace is what an actor that hosts others has beyond the grace of any of them:
// they end one level after the other, the lowest first.
const levelGrace = 250 * time.Millisecond

// boundsOf are the times for an actor, the defaults where its spec says nothing.
func boundsOf(spec Spec) bounds {
	set := spec.WithDefaults()
	return bounds{cancel: time.Duration(set.CancelTimeout), grace: graceOf(spec), terminate: time.Duration(set.TermTimeout)}
}

// foreignGrace is that of a foreign program: go-plugin's own hosts wait as long.
const foreignGrace = 2 * time.Second

// graceOf is the grace of an actor: its own, or else as much as those need that it hosts.
// An explicit grace is taken as it is, even if it is shorter than that of an actor below:
// whoever writes it has decided how long the whole branch may take.
func graceOf(spec Spec) time.Duration {
	switch {
	case spec.Debug:
		return debugTime
	case spec.Grace > 0:
		return time.Duration(spec.Grace)
	}
	grace := time.Duration(spec.WithDefaults().Grace)
	if spec.GoPlugin != nil {
		grace = foreignGrace
	}
	for _, hosted := range spec.Actors {
		grace = max(grace, graceOf(hosted)+levelGrace)
	}
	return grace
}

// TeardownBound is how long a nursery's end may take, if nothing of what it has started obeys: actors on which others depend end after
// those, and each goes through the whole teardown, of its cancel_timeout, grace and term_timeout. It is for whoever must say how
// long a host may take before it is killed, as service managers ask. There is no bound with an actor that has debug set, which a long time stands for.
func TeardownBound(specs []Spec) (bound time.Duration) {
	for _, level := range config.Levels(specs) {
		var longest time.Duration
		for _, spec := range level {
			b := boundsOf(spec)
			longest = max(longest, b.cancel+b.grace+b.terminate)
		}
		bound += longest
	}
	return bound
}

// What a host does with the time that it has, if it is being ended itself.
const (
	// forceSlice is what it keeps at the end of that time: to kill a child that has not
	// ended by then, and to end itself. It is the same at every level, so that what is
	// left to a level depends on the number of those above it and on nothing else.
	// A share of the time would be wrong here: it shrinks at every level, and in a chain of
	// forty idle actors most of them would be ended by a signal.
	forceSlice = 100 * time.Millisecond
	// leastWait is what a child has for its answer, and again for its exit, even if its
	// host has no time left. A child that obeys needs no more, and force would help
	// nobody: the host's own parent uses it when its patience is over.
	leastWait = 100 * time.Millisecond
)

// within fits the steps to come into what is left until this host's own parent uses
// force. None is shortened that fits, and the wait for an answer that does not come is
// not taken off anything: all end at one moment.
//
// left counts from now, so it is smaller at each step of a teardown that is asked for it
// again. Each bound is compared with all that is left, and not with a share of it.
// SIGTERM still comes before SIGKILL when no time is left: it gets a quarter of the slice,
// and the other three are for the kill and for this host's own end.
func (b bounds) within(left time.Duration) bounds {
	left -= forceSlice
	return bounds{
		cancel:    min(b.cancel, max(left, leastWait)),
		grace:     min(b.grace, max(left, leastWait)),
		terminate: min(b.terminate, max(left, 0)+forceSlice/4),
	}
}

// backoff is how the pauses between restarts grow, from initial to max, and how long an
// actor must have been up (stable) for its next restart to count as the first one again.
// The pauses double, up to max. Times are those of the spec, with its defaults.
type backoff struct{ initial, max, stable time.Duration }

// restartBackoff is that of an actor. What standby is for is a restart without a wait, and so there
// is hardly a pause then, unless the spec says how long.
func restartBackoff(spec Spec) backoff {
	b := newBackoff(spec.WithDefaults().Backoff)
	if spec.Standby > 0 && spec.Backoff.Initial == 0 {
		b.initial = time.Millisecond
	}
	return b
}

func newBackoff(c config.Backoff) backoff {
	return backoff{initial: time.Duration(c.Initial), max: time.Duration(c.Max), stable: time.Duration(c.Reset)}
}

// pause is the pause before the restart that is the nth without a stable run in between. chance,
// from 0 to below 1, takes up to a quarter off, so that actors that have failed together do not
// all come back in the same instant.
func (b backoff) pause(nth int, chance float64) time.Duration {
	pause := b.max
	// Shifting back shows whether the product has overflowed; it is max in that case.
	if shift := nth - 1; shift < 32 && b.initial<<shift>>shift == b.initial {
		pause = min(b.max, b.initial<<shift)
	}
	return pause - time.Duration(chance*float64(pause)/4)
}

// chance is the jitter of one pause.
func chance() float64 { return rand.Float64() } //nolint:gosec // nothing depends on its being secret
