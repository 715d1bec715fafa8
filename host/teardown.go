package host

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

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

// bounds are the times of this child's teardown, as long as each may take from now on:
// those of its spec, or what a host can give it that is being ended itself.
func (i *incarnation) bounds() bounds {
	b := boundsOf(i.spec)
	b.grace -= i.queued
	return b.within(i.env.ending.Left(time.Now()))
}

// awaitTurn waits for the child's turn to end. What it waits comes off its grace, so
// that the whole ladder takes no longer.
func (i *incarnation) awaitTurn() (done func()) {
	begun, patience := time.Now(), i.bounds().grace/2
	done = i.env.turns.take(patience, i.proc.Load().Dead(), i.connection.gone(), i.env.hurry)
	i.queued = min(time.Since(begun), patience)
	return done
}

// request is the first step: it sends the cancel request and waits for the ack,
// which comes when all of the actor's tasks have ended.
func (i *incarnation) request(w *cancellation) trigger {
	b := i.bounds()
	var err error
	request := wire.CancelRequest{Canceller: w.Canceller, Reason: wire.Text(w.Reason), Grace: b.grace}
	i.asking = task.Start(func() { err = i.connection.ask(request) })
	t := i.wait(stepAsk, i.asking.Done(), i.connection.gone())
	switch goodbye, _ := i.connection.farewell(); {
	case t == elapsed:
		i.ackErr = dialog.Unacked(fault.ErrActorTooSlow, i.id, b.cancel)
	case t == hurried, goodbye: // one that says goodbye was about to end anyway
	case !isClosed(i.asking.Done()):
		return unheard
	case errors.Is(err, errCannotBeAsked):
		return unasked
	case err != nil:
		i.env.log.Warn("the cancel request failed", "actor", i.id.String(), "error", err)
		return unheard
	}
	return t
}

// wait waits on a step until one of the channels is closed, and says why it goes on. Meanwhile
// this host may itself be asked to end, which leaves less time.
func (i *incarnation) wait(s step, over, gone <-chan struct{}) trigger {
	expiry := time.Now().Add(i.bounds().of(s))
	bounded := i.env.ending.Bounded()
	for {
		select {
		case <-over:
			return answered
		case <-gone:
			return answered
		case <-time.After(time.Until(expiry)):
			return elapsed
		case <-i.env.hurry:
			return hurried
		case <-bounded:
			bounded = nil
			if sooner := time.Now().Add(i.bounds().of(s)); sooner.Before(expiry) {
				expiry = sooner
			}
		}
	}
}

// escalate waits for the process to end, from the given step on, and uses more
// force each time its patience is over.
func (i *incarnation) escalate(cause Cause, s step, why trigger) {
	proc := i.proc.Load()
	for {
		i.useForce(cause, s, why)
		if s == stepKill {
			<-proc.Done()
			return
		}
		switch why = i.wait(s, proc.Done(), nil); why {
		case answered:
			return
		case elapsed:
			why = lingering
		}
		s = next(s, why)
	}
}

// useForce does what a step does.
func (i *incarnation) useForce(cause Cause, s step, why trigger) {
	if s < stepTerminate {
		return
	}
	i.owner.note(Event{Cause: cause, Step: s.String(), Reason: why.String()})
	err := i.signal(s)
	if err != nil {
		i.env.log.Error("teardown", "actor", i.id.String(), "step", s.String(), "error", err)
	}
}

func (i *incarnation) signal(s step) error {
	proc := i.proc.Load()
	if s == stepTerminate {
		return proc.Terminate()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // send it; escalate waits
	if err := proc.Kill(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

const (
	turnsOfProcessor = 4                      // so many children end at once for each processor
	turnLength       = 100 * time.Millisecond // at most
	longestWait      = 2 * time.Second        // for a turn
)

// turns keep a nursery from asking all of many children to end at the same moment. Most
// of what an end costs is the kernel's work with a process that has answered already.
// All at once, that work delays the answers of the others and the host itself, until
// all seem to be too slow. A child that takes its time holds up the others for a
// moment only: a turn is a courtesy and no lock.
type turns struct {
	taken   chan struct{} // as many as there may be
	longest time.Duration // that one is waited for
}

func newTurns() *turns {
	return &turns{make(chan struct{}, turnsOfProcessor*runtime.GOMAXPROCS(0)), longestWait}
}

// take waits for a turn, until patience is over or one of the others is closed. The
// caller calls done when the child has ended.
func (t *turns) take(patience time.Duration, dead, gone, hurry <-chan struct{}) (done func()) {
	timer := time.NewTimer(min(patience, t.longest))
	defer timer.Stop()
	select {
	case t.taken <- struct{}{}:
		giveBack := sync.OnceFunc(func() { <-t.taken })
		expiry := time.AfterFunc(turnLength, giveBack)
		return func() {
			expiry.Stop()
			giveBack()
		}
	case <-timer.C:
	case <-dead:
	case <-gone:
	case <-hurry:
	}
	return func() {}
}
