package host

import "time"

// rung is one step of the teardown ladder of a child.
type rung uint8

// The rungs, in the order of the climb.
const (
	asking      rung = iota // the child was asked to end; its ack is awaited
	waiting                 // it has acked, or could not be asked; its exit is awaited
	terminating             // its group was sent SIGTERM
	killing                 // its group was sent SIGKILL; only the reaping is awaited
)

func (r rung) String() string {
	return [...]string{"cancel request", "wait for exit", "SIGTERM", "SIGKILL"}[r]
}

// setback is why a teardown goes to the next rung.
type setback uint8

const (
	answered setback = iota // the child has acked: nothing is wrong
	elapsed                 // the rung's time is over
	unheard                 // the child cannot be asked: its link is gone
	unasked                 // the child is a foreign program that cannot be asked
	mute                    // the child does not answer its health checks
	hurried                 // somebody does not want to wait any longer
)

func (s setback) String() string {
	return [...]string{"acknowledged", "no answer in time", "no link", "it cannot be asked", "no answer to health checks", "hurried"}[s]
}

// climb is the ladder, a pure function: the rung after r. There is none after
// killing; whoever hurries goes there at once. There is no use in waiting for what
// was not asked.
func climb(r rung, s setback) rung {
	switch {
	case s == hurried:
		return killing
	case s == unasked && r == asking:
		return terminating
	}
	return min(r+1, killing)
}

// bounds are the times of the rungs.
type bounds struct{ cancel, grace, terminate time.Duration }

// within shortens all bounds alike, so that the whole ladder fits into what is left
// of a parent's own patience, less a tenth for what comes after.
func (b bounds) within(left time.Duration) bounds {
	whole, left := b.cancel+b.grace+b.terminate, left-left/10
	if whole <= left {
		return b
	}
	share := float64(left) / float64(whole)
	shorten := func(d time.Duration) time.Duration { return max(1, time.Duration(share*float64(d))) } // 0 is for ever
	return bounds{cancel: shorten(b.cancel), grace: shorten(b.grace), terminate: shorten(b.terminate)}
}

// of is how long a rung may take; 0 is for ever.
func (b bounds) of(r rung) time.Duration {
	switch r {
	case asking:
		return b.cancel
	case waiting:
		return b.grace
	case terminating:
		return b.terminate
	case killing:
	}
	return 0
}
