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

// child is one actor of a nursery, whichever process that is at the moment: its
// processes take the child one after another. All that changes is guarded by the
// nursery's lock.
type child struct {
	n       *Nursery
	id      int
	spec    Spec
	oneShot bool

	self         actor.ID     // of the present or last process; before the first, of that one
	current      *incarnation // the present or last process; nil before the first
	lastUp       *incarnation // the process that came up last; nil before the first
	state        State
	upAt         time.Time
	backoff      backoff
	cancellation *cancellation // that it ends for good; nil unless somebody has said so
	err          error         // what the last process ended with, or why there was none
	gone         chan struct{}
}

// errOrphaned is why a child is over whose processes need others that are gone.
var errOrphaned = errors.New("an actor that it depends on has ended before it could start")

func (c *child) row() *childState { return c.n.plan.child(c.id) }

// tell records a step of the child's life. It is called under the nursery's lock;
// the log gets the event after that.
func (c *child) record(e Event) {
	e.Time, e.From, e.Actor = time.Now(), c.state, c.self
	c.state = e.To
	c.n.env.events.add(c, e)
	c.n.told = append(c.n.told, e)
}

// runIncarnation is one process's life in the child, from its start to its reaping.
func (c *child) runIncarnation(ctx context.Context, i *incarnation) {
	defer i.giveUp(nil)
	defer i.acknowledge() // whatever becomes of it: who has asked waits no longer
	err := i.start(ctx)
	if err != nil {
		reason := fault.Line(err)
		c.n.update(func() {
			c.record(Event{To: Reaped, Cause: NotUp, Reason: reason, Err: err})
			c.onEnded(err, false)
		})
		return
	}
	c.n.update(func() { c.onUp(i) })
	health, stuck := i.watchHealth(), i.watchStuck()
	i.own()
	health.Wait()
	stuck.Wait()
	c.n.update(func() {
		c.record(Event{To: Reaped, Cause: i.cause, Reason: i.why, Err: i.failure})
		c.onEnded(i.failure, true)
	})
}

// onUp says that a process can be called.
func (c *child) onUp(i *incarnation) {
	e := Event{To: Ready}
	if c.lastUp != nil {
		e.Reason = "restarted"
	}
	c.lastUp, c.upAt, c.err = i, time.Now(), nil
	c.record(e)
	c.n.carryOut(c.n.plan.isUp(c.id), nil)
}

// end says that a process is gone. A failure that comes of itself while the
// nursery is being ended is one of the nursery's all the same.
func (c *child) onEnded(failure error, wasUp bool) {
	c.err = failure
	if row := c.row(); failure != nil && wasUp && !c.oneShot && c.n.plan.closing && (row.phase == condemned || row.phase == stopping) {
		c.n.failures = append(c.n.failures, failure)
	}
	start, notUp := errors.AsType[*StartError](failure)
	c.n.carryOut(c.n.plan.ended(c.id, end{
		failed: failure != nil, lasting: notUp && start.Lasting,
		stable: wasUp && time.Since(c.upAt) >= c.backoff.stable,
	}, time.Now()), failure)
}

// tooOften is the failure of a supervisor whose actors end again and again.
func (c *child) tooOften(window, stable time.Duration, failure error) error {
	if failure == nil {
		failure = fmt.Errorf("%q ended by itself, which it must not", c.spec.Name)
	}
	return &fault.RestartLimit{Supervisor: c.n.env.self, Actor: c.spec.Name, Max: c.n.plan.max, Window: window, Stable: stable, Err: failure}
}

// startProcess starts a process.
func (c *child) startProcess() {
	ctx, giveUp := context.WithCancelCause(c.n.ctx)
	if c.current != nil {
		c.self = actor.NewID(c.spec.Name)
	}
	c.current = newIncarnation(c, giveUp)
	c.record(Event{To: Starting})
	c.n.tasks.Go(func() { c.runIncarnation(ctx, c.current) })
}

// stopProcess tells the process to end, or to give up its start.
func (c *child) stopProcess() {
	w := cmp.Or(c.cancellation, c.n.cancellation, &cancellation{Canceller: c.n.env.self, Reason: "it is restarted together with an actor beside it"})
	c.current.giveUp(fmt.Errorf("%w: %s", errGivenUp, c.current.reasonOf(w)))
	c.current.ask(w)
}

var errGivenUp = errors.New("the start was given up")

// pause waits before the next process.
func (c *child) pause(failure error) {
	pause := c.backoff.pause(c.row().unstable, chance())
	reason := "it has ended"
	if failure != nil {
		reason = failure.Error()
	}
	c.record(Event{To: Waiting, Pause: pause, Reason: reason})
	c.n.tasks.Go(func() {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.gone: // dismissed meanwhile
		case <-c.n.ctx.Done():
		}
		c.n.update(func() { c.n.carryOut(c.n.plan.resume(c.id), nil) })
	})
}

// forget is the end of the child.
func (c *child) forget() {
	if c.current == nil && c.err == nil {
		c.err = errOrphaned
		if c.n.closed != nil {
			c.err = c.n.closed
		}
	}
	c.record(Event{To: Gone})
	delete(c.n.children, c.id)
	close(c.gone)
}

// dismiss ends the child for good, and gives the process that is asked to end, nil
// if there is none any more.
func (c *child) dismiss(reason string) (asked *incarnation) {
	w := c.n.cancellationFor(reason)
	c.n.update(func() {
		if c.row() == nil {
			return
		}
		if c.cancellation == nil {
			c.cancellation = w
		}
		c.n.carryOut(c.n.plan.dismiss(c.id), nil)
		if c.row() != nil { // else it had no process, and is over now
			asked = c.current
		}
	})
	return asked
}

// awaitUp waits for the first process. The end of ctx ends the child.
func (c *child) awaitUp(ctx context.Context) error {
	for {
		var risen, over bool
		var changed <-chan struct{}
		c.n.look(func() {
			over = c.row() == nil
			risen = c.lastUp != nil
			changed = c.n.change()
		})
		switch {
		case risen:
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

// callable gives the process to call. While there is none it gives a channel that
// is closed when it is worth another look, or an error if there never will be.
func (c *child) callable() (i *incarnation, changed <-chan struct{}, err error) {
	c.n.look(func() {
		row := c.row()
		switch {
		case c.takesCalls(row):
			i = c.lastUp
		case row == nil:
			err = c.err
		case c.spec.WhileDown == config.FailWhileDown:
			err = fmt.Errorf("%w: %q is %s", fault.ErrActorDown, c.spec.Name, c.state)
		default:
			changed = c.n.change()
		}
	})
	return i, changed, err
}

// takesCalls reports whether calls go to the process that came up last; one that is over
// for good says why. One that is to come back and has just died is not called.
func (c *child) takesCalls(row *childState) bool {
	switch {
	case c.lastUp == nil:
		return false
	case row == nil:
		return true
	case row.phase == up:
		return row.kind == config.Temporary || !c.lastUp.calls.over()
	}
	return !row.comesBack && row.phase != down && row.phase != starting
}

// process waits for a process to call. The end of ctx gives its cause.
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
