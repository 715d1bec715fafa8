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

// seat is one actor of a nursery, whichever process that is at the moment: its
// processes take the seat one after another. All that changes is guarded by the
// nursery's lock.
type seat struct {
	n       *Nursery
	id      int
	spec    Spec
	oneShot bool

	self    actor.ID // of the present or last process; before the first, of that one
	child   *child   // the present or last process; nil before the first
	risen   *child   // the process that came up last; nil before the first
	state   State
	upAt    time.Time
	backoff backoff
	wish    *wish // that it ends for good; nil unless somebody has said so
	err     error // what the last process ended with, or why there was none
	gone    chan struct{}
}

// errForlorn is why a seat is over whose processes need others that are gone.
var errForlorn = errors.New("an actor that it depends on has ended before it could start")

func (s *seat) place() *place { return s.n.plan.place(s.id) }

// tell records a step of the seat's life. It is called under the nursery's lock;
// the log gets the event after that.
func (s *seat) tell(e Event) {
	e.Time, e.From, e.Actor = time.Now(), s.state, s.self
	s.state = e.To
	s.n.env.chronicle.add(s, e)
	s.n.told = append(s.n.told, e)
}

// live is one process's life in the seat, from its start to its reaping.
func (s *seat) live(ctx context.Context, c *child) {
	defer c.giveUp(nil)
	defer c.acknowledge() // whatever becomes of it: who has asked waits no longer
	err := c.start(ctx)
	if err != nil {
		reason := fault.Line(err)
		s.n.update(func() {
			s.tell(Event{To: Reaped, Cause: NotUp, Reason: reason, Err: err})
			s.end(err, false)
		})
		return
	}
	s.n.update(func() { s.rise(c) })
	health, stuck := c.watchHealth(), c.watchStuck()
	c.own()
	health.Wait()
	stuck.Wait()
	s.n.update(func() {
		s.tell(Event{To: Reaped, Cause: c.cause, Reason: c.why, Err: c.failure})
		s.end(c.failure, true)
	})
}

// rise says that a process can be called.
func (s *seat) rise(c *child) {
	e := Event{To: Ready}
	if s.risen != nil {
		e.Reason = "restarted"
	}
	s.risen, s.upAt, s.err = c, time.Now(), nil
	s.tell(e)
	s.n.carryOut(s.n.plan.isUp(s.id), nil)
}

// end says that a process is gone. A failure that comes of itself while the
// nursery is being ended is one of the nursery's all the same.
func (s *seat) end(failure error, wasUp bool) {
	s.err = failure
	if p := s.place(); failure != nil && wasUp && !s.oneShot && s.n.plan.closing && (p.phase == condemned || p.phase == stopping) {
		s.n.failures = append(s.n.failures, failure)
	}
	start, notUp := errors.AsType[*StartError](failure)
	s.n.carryOut(s.n.plan.ended(s.id, end{
		failed: failure != nil, lasting: notUp && start.Lasting,
		stable: wasUp && time.Since(s.upAt) >= s.backoff.stable,
	}, time.Now()), failure)
}

// tooOften is the failure of a supervisor whose actors end again and again.
func (s *seat) tooOften(window, stable time.Duration, failure error) error {
	if failure == nil {
		failure = fmt.Errorf("%q ended by itself, which it must not", s.spec.Name)
	}
	return &fault.RestartLimit{Supervisor: s.n.env.self, Actor: s.spec.Name, Max: s.n.plan.max, Window: window, Stable: stable, Err: failure}
}

// begin starts a process.
func (s *seat) begin() {
	ctx, giveUp := context.WithCancelCause(s.n.ctx)
	if s.child != nil {
		s.self = actor.NewID(s.spec.Name)
	}
	s.child = newChild(s, giveUp)
	s.tell(Event{To: Starting})
	s.n.tasks.Go(func() { s.live(ctx, s.child) })
}

// stop tells the process to end, or to give up its start.
func (s *seat) stop() {
	w := cmp.Or(s.wish, s.n.wish, &wish{Canceller: s.n.env.self, Reason: "it is restarted together with an actor beside it"})
	s.child.giveUp(fmt.Errorf("%w: %s", errGivenUp, s.child.reasonOf(w)))
	s.child.ask(w)
}

var errGivenUp = errors.New("the start was given up")

// pause waits before the next process.
func (s *seat) pause(failure error) {
	pause := s.backoff.pause(s.place().row, chance())
	reason := "it has ended"
	if failure != nil {
		reason = failure.Error()
	}
	s.tell(Event{To: Waiting, Pause: pause, Reason: reason})
	s.n.tasks.Go(func() {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.gone: // dismissed meanwhile
		case <-s.n.ctx.Done():
		}
		s.n.update(func() { s.n.carryOut(s.n.plan.resume(s.id), nil) })
	})
}

// forget is the end of the seat.
func (s *seat) forget() {
	if s.child == nil && s.err == nil {
		s.err = errForlorn
		if s.n.closed != nil {
			s.err = s.n.closed
		}
	}
	s.tell(Event{To: Gone})
	delete(s.n.seats, s.id)
	close(s.gone)
}

// dismiss ends the seat for good, and gives the process that is asked to end, nil
// if there is none any more.
func (s *seat) dismiss(reason string) (asked *child) {
	w := s.n.wants(reason)
	s.n.update(func() {
		if s.place() == nil {
			return
		}
		if s.wish == nil {
			s.wish = w
		}
		s.n.carryOut(s.n.plan.dismiss(s.id), nil)
		if s.place() != nil { // else it had no process, and is over now
			asked = s.child
		}
	})
	return asked
}

// awaitUp waits for the first process. The end of ctx ends the seat.
func (s *seat) awaitUp(ctx context.Context) error {
	for {
		var risen, over bool
		var changed <-chan struct{}
		s.n.look(func() {
			p := s.place()
			over = p == nil
			risen = s.risen != nil
			changed = s.n.change()
		})
		switch {
		case risen:
			return nil
		case over:
			return s.err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.dismiss("its start was given up")
			<-s.gone
			return context.Cause(ctx)
		}
	}
}

// callable gives the process to call. While there is none it gives a channel that
// is closed when it is worth another look, or an error if there never will be.
func (s *seat) callable() (c *child, changed <-chan struct{}, err error) {
	s.n.look(func() {
		p := s.place()
		switch {
		case s.takesCalls(p):
			c = s.risen
		case p == nil:
			err = s.err
		case s.spec.WhileDown == config.FailWhileDown:
			err = fmt.Errorf("%w: %q is %s", fault.ErrActorDown, s.spec.Name, s.state)
		default:
			changed = s.n.change()
		}
	})
	return c, changed, err
}

// takesCalls reports whether calls go to the process that came up last; one that is over
// for good says why. One that is to come back and has just died is not called.
func (s *seat) takesCalls(p *place) bool {
	switch {
	case s.risen == nil:
		return false
	case p == nil:
		return true
	case p.phase == up:
		return p.kind == config.Temporary || !s.risen.fate.isSealed()
	}
	return !p.back && p.phase != down && p.phase != starting
}

// process waits for a process to call. The end of ctx gives its cause.
func (s *seat) process(ctx context.Context) (*child, error) {
	for {
		c, changed, err := s.callable()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
