package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// child is one actor of a nursery as its supervisor knows it: what survives restarts. Its
// incarnations come one after another. All that changes in it is guarded by the nursery's
// lock, and its state changes in [supervision] alone; it ends with [Gone].
type child struct {
	childState
	n       *Nursery
	spec    Spec
	backoff backoff
	history history // of its events

	self         actor.ID      // of the present or last process; before the first, of that one
	current      *incarnation  // the present or last process; nil before the first
	lastUp       *incarnation  // the process that came up last; nil before the first
	upAt         time.Time     // when that was
	cancellation *cancellation // that it ends for good; nil unless somebody has said so
	err          error         // what the last process ended with, or why there was none
	gone         chan struct{} // closed when it is over
}

var (
	// errOrphaned is why a child is over whose processes need others that are gone.
	errOrphaned = errors.New("an actor that it depends on has ended before it could start")
	errGivenUp  = errors.New("the start was given up")
)

// tell makes the event known that a step of the table has given. It is called under the
// nursery's lock; the log gets the event after that.
func (c *child) tell(e Event) {
	e.Time, e.Actor = time.Now(), c.self
	c.n.env.events.add(&c.history, e)
	c.n.told = append(c.n.told, e)
}

// step takes a step of the table, and does what follows.
func (c *child) step(step func(s *supervision) []action) {
	c.n.update(func() { c.n.carryOut(step(&c.n.plan)) })
}

// startProcess starts the next incarnation, in a goroutine that owns it.
func (c *child) startProcess(e Event) {
	ctx, giveUp := context.WithCancelCause(c.n.ctx)
	if c.current != nil {
		c.self = actor.NewID(c.spec.Name)
	}
	i := newIncarnation(c, c.n.env, c.spec, c.self, giveUp)
	c.current = i
	c.tell(e)
	c.n.tasks.Go(func() { c.run(ctx, i) })
}

// run is the life of one incarnation, from its start to its reaping.
func (c *child) run(ctx context.Context, i *incarnation) {
	defer i.giveUp(nil)
	defer i.acknowledge() // whatever becomes of it: whoever has asked waits no longer
	if err := i.start(ctx); err != nil {
		start, ok := errors.AsType[*StartError](err)
		c.ended(end{cause: NotUp, reason: fault.Line(err), failure: err, lasting: ok && start.Lasting})
		return
	}
	c.n.update(func() {
		c.lastUp, c.upAt, c.err = i, time.Now(), nil
		c.n.carryOut(c.n.plan.up(c.id))
	})
	how := i.live()
	how.stable = time.Since(c.upAt) >= c.backoff.stable
	c.ended(how)
}

// ended takes note that the process is reaped.
func (c *child) ended(how end) {
	c.n.update(func() {
		c.err = how.failure
		c.n.carryOut(c.n.plan.ended(c.id, how, time.Now()))
	})
}

// The child is the owner of its incarnations: this is what they tell it.

// identified says that there is a process, and so what its pid is.
func (c *child) identified(id actor.ID) { c.n.look(func() { c.self = id }) }

// checked says what a health check has found.
func (c *child) checked(reason string, failure error) {
	c.step(func(s *supervision) []action { return s.checked(c.id, reason, failure) })
}

// note reports what changes no state.
func (c *child) note(e Event) {
	c.step(func(s *supervision) []action { return s.note(c.id, e) })
}

// stopping takes note that the process is being ended, or has died. New calls are refused, and
// the event is reported, in one change: whoever has seen the one finds the other.
func (c *child) stopping(how end, refuse func()) {
	c.step(func(s *supervision) []action {
		refuse()
		return s.stopping(c.id, how)
	})
}

// tooOften is the failure of a supervisor whose actors end again and again.
func (c *child) tooOften(window, stable time.Duration, failure error) error {
	if failure == nil {
		failure = fmt.Errorf("%q ended by itself, which it must not", c.spec.Name)
	}
	return &fault.RestartLimit{Supervisor: c.n.env.self, Actor: c.spec.Name, Max: c.n.plan.max, Window: window, Stable: stable, Err: failure}
}

// stopProcess tells the process to end, or to give up its start.
func (c *child) stopProcess() {
	why := cmp.Or(c.cancellation, c.n.cancellation, &cancellation{Canceller: c.n.env.self, Reason: "it is restarted together with an actor beside it"})
	c.current.giveUp(fmt.Errorf("%w: %s", errGivenUp, c.current.reasonOf(why)))
	c.current.cancel(why)
}

// pause waits before the next process, in a goroutine of the nursery's.
func (c *child) pause(e Event) {
	e.Pause = c.backoff.pause(c.unstable, chance())
	c.tell(e)
	c.n.tasks.Go(func() {
		timer := time.NewTimer(e.Pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.gone: // dismissed meanwhile
		case <-c.n.ctx.Done():
		}
		c.step(func(s *supervision) []action { return s.resume(c.id) })
	})
}

// forget is the end of the child.
func (c *child) forget(e Event) {
	if c.current == nil && c.err == nil {
		c.err = cmp.Or(c.n.closed, errOrphaned)
	}
	c.tell(e)
	delete(c.n.children, c.id)
	close(c.gone)
}

// dismiss ends the child for good, and gives the process that is asked to end, nil
// if there is none any more.
func (c *child) dismiss(reason string) (asked *incarnation) {
	why := c.n.cancellationFor(reason)
	c.n.update(func() {
		c.cancellation = cmp.Or(c.cancellation, why)
		c.n.carryOut(c.n.plan.dismiss(c.id))
		if c.state != Gone { // else it had no process, and is over now
			asked = c.current
		}
	})
	return asked
}

// awaitUp waits for the first process. The end of ctx ends the child.
func (c *child) awaitUp(ctx context.Context) error {
	for {
		var isUp, over bool
		var changed <-chan struct{}
		c.n.look(func() { isUp, over, changed = c.lastUp != nil, c.state == Gone, c.n.change() })
		switch {
		case isUp:
			return nil
		case over:
			return c.err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.dismiss("its start was given up")
			<-c.gone
			return context.Cause(ctx)
		}
	}
}

// callable returns the process to call. While there is none it gives a channel that
// is closed when it is worth another look, or an error if there never will be.
func (c *child) callable() (i *incarnation, changed <-chan struct{}, err error) {
	c.n.look(func() {
		switch {
		case c.takesCalls():
			i = c.lastUp
		case c.state == Gone:
			err = c.err
		case c.spec.WhileDown == config.FailWhileDown:
			err = fmt.Errorf("%w: %q is %s", fault.ErrActorDown, c.spec.Name, c.state)
		default:
			changed = c.n.change()
		}
	})
	return i, changed, err
}

// awaitCallable waits for a process to call. The end of ctx gives its cause.
func (c *child) awaitCallable(ctx context.Context) (*incarnation, error) {
	for {
		i, changed, err := c.callable()
		if i != nil || err != nil {
			return i, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
