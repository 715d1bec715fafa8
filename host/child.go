package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// child is one plugin process from its start to its reaping. Once started, one
// goroutine owns it (own); everything else asks that one.
type child struct {
	seat   *seat
	env    *environment
	spec   Spec
	id     actor.ID
	giveUp context.CancelCauseFunc // of its start

	program string // the file to execute
	lacking string // what its start waits for, as the end of an error

	proc      atomic.Pointer[process.Process]
	client    *plugin.Client
	config    *plugin.ClientConfig
	identity  *os.File     // during the start: where the child reads its identity
	server    *grpc.Server // of the link
	serving   *task.Worker
	address   net.Addr           // where the child's link is taken in
	linked    chan *dialog.Table // cap 1: the child has opened its link
	table     *dialog.Table      // set before ready; nil for a foreign program
	tie       tie                // set before ready
	main      *seam              // the same
	fate      *fate              // of calls over the main connection
	unfollow  func() bool        // lets the process outlive its start's ctx
	endpoints []*wire.Endpoint

	cancelling *task.Worker // the cancel request, nil if none was sent

	stop     chan *wish    // cap 1: asked to end
	sick     chan sickness // cap 2: its health checks fail, and it has a stuck task
	stuck    chan struct{} // cap 1: another task is stuck
	stopOnce sync.Once     //
	ackOnce  sync.Once     //
	acked    chan struct{} // the cancel request was answered, or never will be
	ackErr   error         // set before acked
	ending   chan struct{} // it is being ended, or has ended
	cause    Cause         // why it ended; these three are own's until that returns
	why      string        //
	queued   time.Duration // that it has waited for its turn to end
	failure  error         // nil if it was asked to end, or ended well
}

func newChild(s *seat, giveUp context.CancelCauseFunc) *child {
	return &child{
		seat: s, env: s.n.env, spec: s.spec, id: s.self, giveUp: giveUp,
		linked: make(chan *dialog.Table, 1), stop: make(chan *wish, 1), sick: make(chan sickness, 2), stuck: make(chan struct{}, 1),
		acked: make(chan struct{}), ending: make(chan struct{}), fate: newFate(s.n.ctx),
	}
}

// foreign tells that the program knows nothing of Trellis.
func (c *child) foreign() bool { return c.spec.GoPlugin != nil }

// refuse fails new calls into the child.
func (c *child) refuse(why error) {
	c.fate.refuse(why)
	c.tie.refuse(why)
}

// lose fails new calls into the child, and those in flight.
func (c *child) lose(why error) {
	c.fate.seal(why)
	c.tie.lose(why)
}

// tell records a step of the child's life.
func (c *child) tell(e Event) { c.seat.n.update(func() { c.seat.tell(e) }) }

// ends notes why the child ends.
func (c *child) ends(cause Cause, why string, failure error) {
	c.cause, c.why, c.failure = cause, why, failure
	close(c.ending)
	c.tell(Event{To: Stopping, Cause: cause, Reason: why, Err: failure})
}

// ask makes the child end. It does not wait; only the first wish counts.
func (c *child) ask(w *wish) { c.stopOnce.Do(func() { c.stop <- w }) }

// reasonOf is a wish as the reason in events and errors of this actor.
func (c *child) reasonOf(w *wish) string {
	if w.Canceller.Is(c.env.self) {
		return w.Reason
	}
	return w.Error()
}

// acknowledge tells whoever waits for the child's answer to a cancel request that it
// has come, or never will.
func (c *child) acknowledge() { c.ackOnce.Do(func() { close(c.acked) }) }

// own is the goroutine that the child belongs to, from ready to reaped.
func (c *child) own() {
	proc := c.proc.Load()
	select {
	case w := <-c.stop:
		c.obey(w)
	case s := <-c.sick:
		c.ail(s)
	case <-proc.Dead():
		c.died()
	case <-c.tie.gone():
		c.unlinked()
	}
	c.release()
}

// lastFrames is how long what a dead process has sent may take to be read.
const lastFrames = 50 * time.Millisecond

// lastBreath is how long the end of a process may take that has lost its link
// without a word: a dying process closes its connections first, and on a busy
// machine is reaped much later. How it died says more than that the link is lost.
const lastBreath = 500 * time.Millisecond

// died handles a process that has ended by itself.
func (c *child) died() {
	if !c.tie.drain() {
		c.tie.abort(errors.New("the process has ended"))
	}
	if c.leftInOrder() {
		c.ends(Finished, "by itself", nil)
		c.acknowledge()
		c.lose(fmt.Errorf("%w: %s has ended by itself", fault.ErrActorClosing, c.id))
		return
	}
	failure := c.obituary()
	c.ends(Crashed, failure.Error(), failure)
	c.acknowledge()
	c.lose(failure)
}

// leftInOrder reports whether the child has ended itself, and well: it said goodbye, with
// no failure, and exited with 0. A foreign program cannot say goodbye.
func (c *child) leftInOrder() bool {
	goodbye, reason := c.tie.farewell()
	exit, _ := c.proc.Load().Exit()
	return (goodbye || c.foreign()) && reason == nil && exit.Success()
}

// obituary says why an actor ended that nobody had asked to: its own last words,
// if it had any, else how its process ended.
func (c *child) obituary() error {
	if _, reason := c.tie.farewell(); reason != nil {
		return reason
	}
	return c.deathOf(c.proc.Load())
}

// deathOf says how a process has ended.
func (c *child) deathOf(proc *process.Process) error {
	exit, _ := proc.Exit()
	died := &fault.ActorDied{ID: c.id, ExitCode: exit.Code, Limit: exit.Limit, LastLog: exit.LastLog, PeakRSS: exit.PeakRSS, CPU: exit.CPU, OOM: exit.OOM}
	if exit.Panic != "" {
		died.LastLog = append(died.LastLog, exit.Panic) // a trace pushes it out of the last lines
	}
	if exit.Signal != 0 {
		died.Signal = exit.Signal.String()
	}
	return died
}

// unlinked handles a link that has ended while the process may still live. Most
// often the process is about to be reaped, which tells more.
func (c *child) unlinked() {
	proc := c.proc.Load()
	goodbye, _ := c.tie.farewell()
	patience := lastBreath
	if goodbye {
		patience = c.bounds().grace
	}
	if c.await(proc.Dead(), patience) {
		c.died()
		return
	}
	reason := "it closed the link and went on running"
	if err := c.tie.breach(); err != nil {
		reason = err.Error()
	}
	failure := &fault.LinkLost{Peer: c.id, Reason: reason}
	c.ends(Transport, reason, failure)
	c.acknowledge()
	c.lose(failure)
	c.descend(terminating, unheard)
}

// ail ends a child that is unwell. One that still answers is asked first.
func (c *child) ail(s sickness) {
	c.ends(s.cause, s.reason, s.failure)
	if !s.answers {
		c.acknowledge()
		c.lose(s.failure)
		c.descend(terminating, mute)
		return
	}
	c.leave(&wish{Canceller: c.env.self, Reason: "it is " + string(s.cause) + ": " + s.reason})
	c.lose(s.failure)
}

// obey ends the child when it is its turn. One that ends by itself before that has not
// been asked.
func (c *child) obey(w *wish) {
	done := c.awaitTurn()
	defer done()
	switch {
	case isClosed(c.proc.Load().Dead()):
		c.died()
	case isClosed(c.tie.gone()):
		c.unlinked()
	default:
		c.tearDown(w)
	}
}

// tearDown ends the child in order: first by asking it, then with more and more
// force.
func (c *child) tearDown(w *wish) {
	reason := c.reasonOf(w)
	c.ends(Requested, reason, nil)
	c.leave(w)
	c.lose(c.afterwards(reason))
}

// leave goes down the whole ladder. An actor whose link is gone ends by itself; a
// foreign program that could not be asked does not know that it should.
func (c *child) leave(w *wish) {
	c.refuse(fmt.Errorf("%w: %s was asked to end (%s)", fault.ErrActorClosing, c.id, c.reasonOf(w)))
	s := c.request(w)
	c.acknowledge()
	if s == unheard && c.foreign() {
		s = unasked
	}
	c.descend(climb(asking, s), s)
	c.tie.drain()
}

// awaitTurn waits for the child's turn to end. What it waits comes off its grace, so
// that the whole ladder takes no longer.
func (c *child) awaitTurn() (done func()) {
	begun, patience := time.Now(), c.bounds().grace/2
	done = c.env.turns.take(patience, c.proc.Load().Dead(), c.tie.gone(), c.env.hurry)
	c.queued = min(time.Since(begun), patience)
	return done
}

// afterwards is what calls get that a requested end has cut off.
func (c *child) afterwards(reason string) error {
	exit, _ := c.proc.Load().Exit()
	if exit.Success() {
		return fmt.Errorf("%w: %s has ended (%s)", fault.ErrActorClosing, c.id, reason)
	}
	return c.obituary()
}

// request is the first rung: it sends the cancel request and waits for the ack,
// which comes when all of the actor's tasks have ended.
func (c *child) request(w *wish) setback {
	b := c.bounds()
	var err error
	request := wire.CancelRequest{Canceller: w.Canceller, Reason: fault.Text(w.Reason), Grace: b.grace}
	c.cancelling = task.Start(func() { err = c.tie.ask(request) })
	s := c.wait(asking, c.cancelling.Done(), c.tie.gone())
	switch goodbye, _ := c.tie.farewell(); {
	case s == elapsed:
		c.ackErr = fault.Unacked(fault.ErrActorTooSlow, c.id, b.cancel)
	case s == hurried, goodbye: // one that says goodbye was about to end anyway
	case !isClosed(c.cancelling.Done()):
		return unheard
	case errors.Is(err, errCannotBeAsked):
		return unasked
	case err != nil:
		c.env.log.Warn("the cancel request failed", "actor", c.id.String(), "error", err)
		return unheard
	}
	return s
}

// wait waits on a rung until one of the channels is closed, and says why it goes on. Meanwhile
// this host may itself be asked to end, which leaves less time.
func (c *child) wait(r rung, over, gone <-chan struct{}) setback {
	expiry := time.Now().Add(c.bounds().of(r))
	bounded := c.env.ending.Bounded()
	for {
		select {
		case <-over:
			return answered
		case <-gone:
			return answered
		case <-time.After(time.Until(expiry)):
			return elapsed
		case <-c.env.hurry:
			return hurried
		case <-bounded:
			bounded = nil
			if sooner := time.Now().Add(c.bounds().of(r)); sooner.Before(expiry) {
				expiry = sooner
			}
		}
	}
}

// descend waits for the process to end, from the given rung on, and uses more
// force each time its patience is over.
func (c *child) descend(r rung, why setback) {
	proc := c.proc.Load()
	for {
		c.useForce(r, why)
		if r == killing {
			<-proc.Done()
			return
		}
		switch why = c.wait(r, proc.Done(), nil); why {
		case answered:
			return
		case elapsed:
			why = lingering
		}
		r = climb(r, why)
	}
}

// useForce does what a rung does.
func (c *child) useForce(r rung, why setback) {
	if r < terminating {
		return
	}
	c.tell(Event{To: Stopping, Cause: c.cause, Rung: r.String(), Reason: why.String()})
	err := c.signal(r)
	if err != nil {
		c.env.log.Error("teardown", "actor", c.id.String(), "rung", r.String(), "error", err)
	}
}

func (c *child) signal(r rung) error {
	proc := c.proc.Load()
	if r == terminating {
		return proc.Terminate()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // send it; descend waits
	if err := proc.Kill(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// release lets go of everything that belonged to the child. Its process is gone.
func (c *child) release() {
	if proc := c.proc.Load(); proc != nil {
		<-proc.Done() // it is dead; what it had started is, too, from now on
	}
	c.untie()
	if c.server != nil {
		c.server.Stop()
		c.serving.Wait()
	}
	if c.table == nil { // a link may have come while the start was given up
		select {
		case c.table = <-c.linked:
			c.untie()
		default:
		}
	}
	if c.cancelling != nil {
		c.cancelling.Wait()
	}
	c.client.Kill() // lets go of what go-plugin holds
}

func (c *child) untie() {
	if c.tie == nil && c.table != nil { // it has come, and was never ready
		c.tie = linkTie{c.table}
	}
	if c.tie == nil {
		return
	}
	gone := fmt.Errorf("%w: %s is gone", fault.ErrActorClosing, c.id)
	c.fate.seal(gone)
	c.tie.close(gone)
}

// await reports whether done is closed within the bound.
func (c *child) await(done <-chan struct{}, bound time.Duration) bool {
	return closedWithin(done, bound)
}

// bounds are the times of this child's teardown, as long as each may take from now on:
// those of its spec, or what a host can give it that is being ended itself.
func (c *child) bounds() bounds {
	b := boundsOf(c.spec)
	b.grace -= c.queued
	return b.within(c.env.ending.Left(time.Now()))
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
