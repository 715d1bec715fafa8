package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// child is one actor of a nursery as its supervisor knows it: what survives restarts. Its
// incarnations come one after another, each owned by a goroutine of the nursery's that
// runs [child.run].
//
// The fields n, name, member, guest and gone are set by [Nursery.take] and do not change.
// Nursery.mu guards the rest, the embedded childState included, which only methods of
// [supervision] change. The child ends with the state [directory.Gone]: it is removed from the
// nursery then, but portals may keep it for longer, and go on reading its last state and
// err.
//
// An incarnation that has ended stays in current and lastUp until there is a next one, so
// that calls and Portal.Cancel can still learn from it how it has ended.
type child struct {
	childState
	n       *Nursery
	name    string
	spec    Spec                 // of the next process
	standby *standby             // what its processes are taken from; nil: nothing
	member  directory.Membership // in the registry, until it is gone
	guest   *guest               // the program that has joined; nil if this host starts it

	self         actor.ID      // of the present or last process; before the first, of that one
	epoch        int           // processes so far
	current      *incarnation  // the present or last process; nil before the first
	lastUp       *incarnation  // the process that came up last; nil before the first
	upAt         time.Time     // when that was
	cancellation *cancellation // that it ends for good; nil unless somebody has said so
	again        *cancellation // that its present process ends, for another one; nil unless somebody has said so
	err          error         // what the last process ended with, or why there was none
	history      history
	ending       trace.SpanContext // of the last teardown, which a restart belongs to; the goroutine of an incarnation has it
	gone         chan struct{}     // closed when it is over

	deaths map[string]uint64 // of its processes, by cause
	used   directory.Usage   // by the last one that is dead
}

var (
	// errOrphaned is why a child is over whose processes need others that are gone.
	errOrphaned = errors.New("an actor that it depends on has ended before it could start")
	errGivenUp  = errors.New("the start was given up")
)

// tell makes the event known that a step of the table has given. It is called under the
// nursery's lock, in the same change as the step, so that followers get events in the
// order in which states change. The registry never waits for a follower. The handler of
// the log might: it gets the event from [Nursery.update], after the lock is released.
func (c *child) tell(e directory.Event) {
	e.Time, e.Actor, e.Epoch, e.Joined = time.Now(), c.self, c.epoch, c.guest != nil
	if e.From == directory.Starting && e.To == directory.Ready {
		e.Endpoints = c.lastUp.served()
	}
	switch e.To {
	case directory.Reaped:
		if c.deaths == nil {
			c.deaths = map[string]uint64{}
		}
		c.deaths[string(e.Cause)]++
		c.used = e.Used
	case directory.Waiting, directory.Gone:
		e.Used = c.used
	}
	if c.current != nil {
		e.Host, _ = c.current.host()
	}
	e.Path = c.member.Path()
	if e.From != e.To {
		c.history.last = e
	}
	c.member.Publish(e)
	c.n.told = append(c.n.told, e)
}

// step takes a step of the table and carries out what follows, in one change: nobody sees
// a state whose consequences have not begun.
func (c *child) step(step func(s *supervision) []action) {
	c.n.update(func() { c.n.carryOut(step(&c.n.plan)) })
}

// startProcess starts the next incarnation, in a goroutine that owns it. It is called
// under the nursery's lock, and does not wait for the start.
//
// The ctx of the start derives from the nursery's, so that the end of either gives the
// start up. It means nothing to a process that is up, which is ended through
// [supervision.close].
func (c *child) startProcess(e directory.Event) {
	ctx, giveUp := context.WithCancelCause(c.n.ctx)
	// A spare has an identity already. Else the first process has the one that the child was added
	// with, since events name it before there is a process, and each later one gets its own:
	// nothing that was issued to its predecessor, such as a certificate, is good for it.
	x, warm := c.standby.take()
	switch {
	case warm:
		c.self, e.Reason = x.id, fromStandby
	case c.current != nil:
		c.self = actor.NewID(c.spec.Name)
	}
	switch {
	case c.guest != nil:
		x = execution{env: c.n.env, spec: c.spec, id: c.self, program: c.guest, client: newPluginClient(c.n.env.base)}
	case !warm:
		x = newExecution(c.n.env, c.spec, c.self)
	}
	i := newIncarnation(c, x, warm, c.member, giveUp)
	c.agent = agentOf(&x)
	c.current, c.again, c.history.check = i, nil, inspect.Health{}
	c.epoch++
	i.epoch = c.epoch
	c.tell(e)
	c.n.tasks.Go(func() { c.run(ctx, i) })
}

// run is the life of one incarnation, from its start to its reaping. It reports exactly
// one end, and only when nothing of the process is left: the table may start the next
// process in that very step.
func (c *child) run(ctx context.Context, i *incarnation) {
	defer i.giveUp(nil)
	defer i.acknowledge() // whatever becomes of it: whoever has asked waits no longer
	what := "start"
	if c.ending.IsValid() {
		what = "restart"
	}
	i.beginSpan(c.ending)
	err := i.start(ctx)
	c.traced(i, what, err)
	if err != nil {
		start, ok := errors.AsType[*StartError](err)
		c.ended(end{cause: directory.NotUp, reason: fault.Line(err), failure: err, lasting: ok && start.Lasting, used: i.used(), machine: i.lostMachine()})
		return
	}
	c.n.update(func() {
		c.lastUp, c.upAt, c.err = i, time.Now(), nil
		c.n.carryOut(c.n.plan.up(c.id))
		c.standby.step((*spares).up)
	})
	how := i.live()
	// upAt may be read without the lock: this goroutine has set it, and no other incarnation
	// of this child is run before ended has been reported.
	c.ending = i.span.Context()
	c.traced(i, "teardown", how.failure, telemetry.Field{Key: "cause", Value: string(how.cause)}, telemetry.Field{Key: "reason", Value: how.reason})
	how.stable, how.used, how.machine = time.Since(c.upAt) >= restartBackoff(i.spec).stable, i.used(), i.lostMachine()
	c.ended(how)
}

// traced ends the span of what has been done with a process.
func (c *child) traced(i *incarnation, what string, failure error, fields ...telemetry.Field) {
	if i.span == nil {
		return
	}
	if span := i.span.End(fault.Pack(failure, c.n.env.self)); span.Numbers != nil {
		span.Actor = c.member.Path()
		rest := span.More()
		rest.Name, rest.Fields = what+" "+treepath.Last(span.Actor), fields
		c.n.env.spans(span)
	}
}

// ended takes note that the process is reaped, or was never there. err is set before the
// table decides, because a child that is forgotten in this step refuses calls with it.
func (c *child) ended(how end) {
	c.n.update(func() {
		if c.err = how.failure; c.err != nil {
			c.history.failure, c.history.failedAt = c.err, time.Now()
		}
		c.n.carryOut(c.n.plan.ended(c.id, how, time.Now()))
	})
}

// The child is the owner of its incarnations: the following methods are what they tell it.
// They are called without the nursery's lock, and take it.

// identified says that there is a process, and so what its pid is. That is not a change of
// the table: nobody waits for a pid.
func (c *child) identified(id actor.ID) {
	var there bool
	c.n.look(func() {
		c.self, c.agent = id, agentOf(&c.current.execution)
		there = c.agent != 0
	})
	if there { // before anything that it hosts is told
		c.note(directory.Event{Reason: "it has a process on another machine"})
	}
}

// agentOf is the child that is the agent which runs a process; 0 if this host does.
func agentOf(x *execution) int {
	if _, a := x.host(); a != nil {
		return a.child.id
	}
	return 0
}

// discarded says that the actor's spare is not used. Its siblings are not, either.
func (c *child) discarded(why error, replace func()) {
	e := directory.Event{Reason: "a spare is not used, and a new process started: " + why.Error(), Err: why}
	c.n.update(func() {
		replace()
		c.self = c.current.id
		c.n.carryOut(c.n.plan.note(c.id, e))
		c.standby.step((*spares).unfit)
	})
}

// checked says what a health check has found.
func (c *child) checked(reason string, failure error) {
	c.step(func(s *supervision) []action {
		c.history.check = inspect.Health{Time: time.Now(), Failed: reason}
		return s.checked(c.id, reason, failure)
	})
}

// note reports what changes no state.
func (c *child) note(e directory.Event) {
	c.step(func(s *supervision) []action { return s.note(c.id, e) })
}

// stopping takes note that the process is being ended, or has died. New calls are refused,
// and the event is reported, in one change: whoever has seen the event finds calls
// refused, and whoever was refused finds the state Stopping.
func (c *child) stopping(how end, refuse func()) {
	c.step(func(s *supervision) []action {
		refuse()
		return s.stopping(c.id, how)
	})
}

// tooOften is the failure of a supervisor whose actors end again and again. One of window
// and stable is 0: it says which of the two limits was exceeded. A permanent actor may
// have ended well each time; then there is no failure to wrap, and the error says what was
// wrong with that.
func (c *child) tooOften(window, stable time.Duration, failure error) error {
	if failure == nil {
		failure = fmt.Errorf("%q ended by itself, which it must not", c.name)
	}
	return &fault.RestartLimit{Supervisor: c.n.env.self, Actor: c.name, Max: c.n.plan.MaxRestarts, Window: window, Stable: stable, Err: failure}
}

// stopProcess tells the process to end, or to give up its start. Both are always said,
// since the supervisor cannot know how far the start is at this moment: giving up means
// nothing to a process that is up, and a cancellation waits in its channel for a process
// that comes up meanwhile.
//
// The reason is the child's own if there is one, for somebody has ended just this child;
// then the nursery's; and if neither is ending, somebody restarts it, or a strategy does
// with another one.
func (c *child) stopProcess() {
	why := cmp.Or(c.cancellation, c.n.cancellation, c.again, &cancellation{Canceller: c.n.env.self, Reason: "it is restarted together with an actor beside it"})
	c.current.giveUp(fmt.Errorf("%w: %s", errGivenUp, c.current.reasonOf(why)))
	c.current.cancel(why)
}

// pause waits before the next process, in a goroutine of the nursery's. It is called under
// the lock. The table alone decides what the end of a pause means: after a dismissal it
// does not know the child any more, and once the nursery's ctx has ended it starts nothing.
// A pause that people have ended means nothing for a later one.
func (c *child) pause(e directory.Event) {
	e.Pause = restartBackoff(c.spec).pause(c.unstable, chance())
	c.history.nextAt = time.Now().Add(e.Pause)
	c.tell(e)
	after := c.epoch
	c.n.after(e.Pause, c.gone, func() {
		c.step(func(s *supervision) []action {
			if c.epoch != after {
				return nil
			}
			return s.resume(c.id)
		})
	})
}

// forget is the end of the child. It is called under the lock, as the last action about
// it.
func (c *child) forget(e directory.Event) {
	// Without a process there is nothing that could have ended: either the nursery has
	// closed before the first start, or what the child depends on is gone.
	if c.current == nil && c.err == nil {
		c.err = cmp.Or(c.n.closed, errOrphaned)
	}
	c.tell(e)
	delete(c.n.children, c.id)
	close(c.gone)
	c.standby.step((*spares).leave)
}

// dismiss ends the child for good, and returns the process that is asked to end; nil if
// there is none any more. It does not wait. The first dismissal gives the reason; a second
// one changes nothing, and returns the same process.
//
// The cancellation is made before the lock is taken, as it looks into the causes of ctxs,
// which are errors of authors' types.
func (c *child) dismiss(reason string) (asked *incarnation) {
	why := c.n.cancellationFor(reason)
	c.n.update(func() {
		c.cancellation = cmp.Or(c.cancellation, why)
		c.n.carryOut(c.n.plan.dismiss(c.id))
		if c.state != directory.Gone { // else it had no process, and is over now
			asked = c.current
		}
	})
	return asked
}

// await waits until something is true of the child, which is asked under the lock, at each
// change of the nursery's table. over is whether the child is gone without that. The end of ctx
// ends the waiting with its cause.
func (c *child) await(ctx context.Context, is func() bool) (over bool, err error) {
	for {
		var yes bool
		var changed <-chan struct{}
		c.n.look(func() {
			if yes = is(); !yes {
				over, changed = c.state == directory.Gone, c.n.changed.Next()
			}
		})
		if yes || over {
			return over, nil
		}
		if err := task.Await(ctx, changed); err != nil {
			return false, err
		}
	}
}

// awaitUp waits for the first process, and returns nil once there has been one, even if it
// has ended again since. The end of ctx dismisses the child and waits for it to be gone,
// since [Nursery.Start] promises that nothing is left of a start that has failed.
func (c *child) awaitUp(ctx context.Context) error {
	over, err := c.await(ctx, func() bool { return c.lastUp != nil })
	if over {
		return c.err
	}
	if err != nil {
		c.dismiss("its start was given up")
		<-c.gone
	}
	return err
}

// awaitCallable waits for a process to call, however many restarts that takes, unless there
// never will be one, or the spec says that calls fail while the actor is down. The process may
// be one that is already ending: it refuses calls itself, and knows why.
func (c *child) awaitCallable(ctx context.Context) (i *incarnation, err error) {
	_, ended := c.await(ctx, func() bool {
		switch {
		case c.takesCalls():
			i = c.lastUp
		case c.state == directory.Gone:
			err = c.err
		case c.spec.WhileDown == config.FailWhileDown:
			err = fmt.Errorf("%w: %q is %s", fault.ErrActorDown, c.name, c.state)
		}
		return i != nil || err != nil
	})
	return i, cmp.Or(err, ended)
}
