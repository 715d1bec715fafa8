package host

import (
	"time"

	"math/rand/v2"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// Defaults of a Spec's times.
const (
	DefaultStartTimeout  = time.Minute
	DefaultCancelTimeout = dialog.DefaultCancelTimeout
	DefaultGrace         = 5 * time.Second
	DefaultForeignGrace  = 2 * time.Second         // of a foreign program: that of go-plugin's own hosts
	DefaultTermTimeout   = 1600 * time.Millisecond // from SIGTERM to SIGKILL
)

// Defaults of Options.Supervision.
const (
	DefaultMaxRestarts   = 3
	DefaultRestartWindow = 5 * time.Second
)

// Defaults of a Spec's health checks.
const (
	DefaultHealthInterval = 2 * time.Second
	DefaultHealthTimeout  = time.Second
	DefaultHealthFailures = 3
)

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

const (
	// drainBound is how long what a dead process has sent may take to be read.
	drainBound = 50 * time.Millisecond
	// deathBound is how long the end of a process may take that has lost its link
	// without a word: a dying process closes its connections first, and on a busy
	// machine is reaped much later. How it died says more than that the link is lost.
	deathBound = 500 * time.Millisecond
)

// closedWithin reports whether done is closed within the bound.
func closedWithin(done <-chan struct{}, bound time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(bound):
		return false
	}
}

// isClosed reports whether done is closed now.
func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
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

// Defaults of a Spec's backoff.
const (
	DefaultBackoffInitial = 100 * time.Millisecond
	DefaultBackoffMax     = 10 * time.Second
	DefaultBackoffReset   = 30 * time.Second
)

// backoff is the pause before a restart, and the run that makes a restart the first one again.
type backoff struct{ initial, max, stable time.Duration }

func newBackoff(c config.Backoff) backoff {
	return backoff{
		initial: orDefault(time.Duration(c.Initial), DefaultBackoffInitial),
		max:     orDefault(time.Duration(c.Max), DefaultBackoffMax),
		stable:  orDefault(time.Duration(c.Reset), DefaultBackoffReset),
	}
}

// pause is the pause before the restart that is the nth without a stable run in between. chance,
// from 0 to below 1, takes up to a quarter off, so that actors that have failed together do not
// all come back in the same instant.
func (b backoff) pause(nth int, chance float64) time.Duration {
	pause := b.max
	if shift := nth - 1; shift < 32 && b.initial<<shift>>shift == b.initial {
		pause = min(b.max, b.initial<<shift)
	}
	return pause - time.Duration(chance*float64(pause)/4)
}

// chance is the jitter of one pause.
func chance() float64 { return rand.Float64() } //nolint:gosec // nothing depends on its being secret
