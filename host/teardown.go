package host

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/launch"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// step is one step of the teardown of a process.
// A teardown goes through them in one direction, and may leave some out.
type step uint8

// The steps, in their order.
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

// The triggers. Their texts are the reasons in events.
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
	return [...]string{"acknowledged", "no answer in time", "it has not exited in time", "no link", cannotBeAsked, "no answer to health checks", "hurried"}[t]
}

// next is the ladder as a pure function: the step after s, given why s is over. There is
// none after stepKill; whoever hurries goes there at once. There is no use in waiting for
// the exit of a process that does not know it should end (unasked): its request is
// SIGTERM. One that was asked but whose link is gone (unheard) ends by itself as soon as
// it notices that, and has its grace.
func next(s step, t trigger) step {
	switch {
	case t == hurried:
		return stepKill
	case t == unasked && s == stepAsk:
		return stepTerminate
	}
	return min(s+1, stepKill)
}

// of is how long a step may take. Only stepKill has none: the kernel does it, and there is
// nothing that could be done if it took long.
func (b bounds) of(s step) time.Duration {
	return [...]time.Duration{stepAsk: b.cancel, stepWait: b.grace, stepTerminate: b.terminate, stepKill: 0}[s]
}

// ladder is the teardown of one process, as far as it is the same for all. It belongs to
// the goroutine that owns the process's incarnation, and needs no lock: queued is set by
// awaitTurn and read after it. turns, ending and hurry are shared with the other children.
type ladder struct {
	own    bounds       // by the child's spec
	ending *self.Ending // of this host itself
	hurry  <-chan struct{}
	turns  *turns
	note   func(e directory.Event) // is told of each step that uses force
	failed func(s step, err error) // is told of a signal that could not be sent
	queued time.Duration           // that the child has waited for its turn
}

// bounds are the times of the teardown, as long as each may take from now on: those of the
// spec, or what a host can give that is being ended itself. It is asked anew at each step,
// since that may become known at any time.
func (l *ladder) bounds() bounds {
	b := l.own
	b.grace -= l.queued
	return b.within(l.ending.Left(time.Now()))
}

// awaitTurn waits for the child's turn to end, for half of its grace at most: what it
// waits comes off its grace, so that the whole ladder takes no longer, and a child that
// needs its grace must have some left. It returns early if the child is dead or its
// connection is gone, which the caller has to look at. done must be called when the child
// has ended.
func (l *ladder) awaitTurn(dead, gone <-chan struct{}) (done func()) {
	begun, patience := time.Now(), l.bounds().grace/2
	done = l.turns.take(patience, dead, gone, l.hurry)
	l.queued = min(time.Since(begun), patience)
	return done
}

// wait waits on a step until one of the channels is closed, and says why it goes on.
// Meanwhile this host may itself be asked to end, which leaves less time: the moment at
// which the step is over may then come closer, and never moves away. over and gone are
// both "answered" here; the caller finds out which of them it was. A nil channel is one
// that is never closed.
func (l *ladder) wait(s step, over, gone <-chan struct{}) trigger {
	expiry := time.Now().Add(l.bounds().of(s))
	bounded := l.ending.Bounded()
	for {
		select {
		case <-over:
			return answered
		case <-gone:
			return answered
		case <-time.After(time.Until(expiry)):
			return elapsed
		case <-l.hurry:
			return hurried
		case <-bounded:
			bounded = nil
			if sooner := time.Now().Add(l.bounds().of(s)); sooner.Before(expiry) {
				expiry = sooner
			}
		}
	}
}

// escalate waits for the process to end, from the given step on, and uses more force each
// time its patience is over. Each step that uses force is reported before its signal is
// sent, so that the event comes before the end that it causes. A signal that cannot be
// sent is reported as well, and the ladder goes on: the next one may work. It returns when
// the process is reaped and nothing of its group is left (Process.Done).
func (l *ladder) escalate(proc launch.Process, cause directory.Cause, s step, why trigger) {
	for {
		if s >= stepTerminate {
			l.note(directory.Event{Cause: cause, Step: s.String(), Reason: why.String()})
			if err := signal(proc, s); err != nil {
				l.failed(s, err)
			}
		}
		if s == stepKill {
			<-proc.Done()
			return
		}
		switch why = l.wait(s, proc.Done(), nil); why {
		case answered:
			return
		case elapsed:
			why = lingering
		}
		s = next(s, why)
	}
}

// signal sends a step's signal, and does not wait for what it does. Kill waits for the
// reaping unless its ctx is over, which is why it is given one that is; that error means
// nothing.
func signal(proc launch.Process, s step) error {
	if s == stepTerminate {
		return proc.Terminate()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := proc.Kill(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

const (
	// Measured with 200 children on two processors. All of them at once kept the host from
	// reading answers that had been there for 200 ms, and up to 33 children counted as too
	// slow; with these turns none does, and the whole takes as long as before.
	turnsOfProcessor = 4                      // children that end at once for each processor
	turnLength       = 100 * time.Millisecond // at most
	longestWait      = 2 * time.Second        // for a turn
)

// turns keep a nursery from asking all of many children to end at the same moment. Most
// of what an end costs is the kernel's work with a process that has answered already.
// All at once, that work delays the answers of the others and the host itself, until
// all seem to be too slow. A child that takes its time holds up the others for a
// moment only: a turn is a courtesy and not a lock.
type turns struct {
	taken   chan struct{} // as many as there may be
	longest time.Duration // that one is waited for
}

func newTurns() *turns {
	return &turns{make(chan struct{}, turnsOfProcessor*runtime.GOMAXPROCS(0)), longestWait}
}

// take waits for a turn, until patience is over or one of the others is closed. The caller
// calls done when the child has ended. A turn that was taken is given back once: by done,
// or when turnLength is over, whichever comes first. A child without a turn ends all the
// same, beside the others; done does nothing then.
func (t *turns) take(patience time.Duration, dead, gone, hurry <-chan struct{}) (done func()) {
	select {
	case t.taken <- struct{}{}:
		giveBack := sync.OnceFunc(func() { <-t.taken })
		expiry := time.AfterFunc(turnLength, giveBack)
		return func() {
			expiry.Stop()
			giveBack()
		}
	case <-time.After(min(patience, t.longest)):
	case <-dead:
	case <-gone:
	case <-hurry:
	}
	return func() {}
}
