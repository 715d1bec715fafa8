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
type incarnation struct {
	child  *child
	env    *environment
	spec   Spec
	id     actor.ID
	giveUp context.CancelCauseFunc // of its start

	program  string // the file to execute
	waitsFor string // what its start waits for, as the end of an error

	proc       atomic.Pointer[process.Process]
	plugin     *plugin.Client
	config     *plugin.ClientConfig
	identity   *os.File     // during the start: where the child reads its identity
	server     *grpc.Server // of the link
	serving    *task.Worker
	address    net.Addr           // where the child's link is taken in
	links      chan *dialog.Table // cap 1: the child has opened its link
	table      *dialog.Table      // set before ready; nil for a foreign program
	connection connection         // set before ready
	client     *pluginClient      // the same
	calls      *callEnd           // of calls over the main connection
	unfollow   func() bool        // lets the process outlive its start's ctx
	endpoints  []*wire.Endpoint

	cancelling *task.Worker // the cancel request, nil if none was sent

	stop     chan *cancellation // cap 1: asked to end
	unwell   chan unwell        // cap 2: its health checks fail, and it has a stuck task
	stuck    chan struct{}      // cap 1: another task is stuck
	stopOnce sync.Once          //
	ackOnce  sync.Once          //
	acked    chan struct{}      // the cancel request was answered, or never will be
	ackErr   error              // set before acked
	ending   chan struct{}      // it is being ended, or has ended
	cause    Cause              // why it ended; these three are own's until that returns
	why      string             //
	queued   time.Duration      // that it has waited for its turn to end
	failure  error              // nil if it was asked to end, or ended well
}

func newIncarnation(c *child, giveUp context.CancelCauseFunc) *incarnation {
	return &incarnation{
		child: c, env: c.n.env, spec: c.spec, id: c.self, giveUp: giveUp,
		links: make(chan *dialog.Table, 1), stop: make(chan *cancellation, 1), unwell: make(chan unwell, 2), stuck: make(chan struct{}, 1),
		acked: make(chan struct{}), ending: make(chan struct{}), calls: newCallEnd(c.n.ctx),
	}
}

// foreign tells that the program knows nothing of Trellis.
func (i *incarnation) foreign() bool { return i.spec.GoPlugin != nil }

// refuse fails new calls into the child.
func (i *incarnation) refuse(why error) {
	i.calls.refuse(why)
	i.connection.refuse(why)
}

// lose fails new calls into the child, and those in flight.
func (i *incarnation) lose(why error) {
	i.calls.endAll(why)
	i.connection.lose(why)
}

// tell records a step of the child's life.
func (i *incarnation) tell(e Event) { i.child.n.update(func() { i.child.record(e) }) }

// endWith notes why the child ends.
func (i *incarnation) endWith(cause Cause, why string, failure error) {
	i.cause, i.why, i.failure = cause, why, failure
	close(i.ending)
	i.tell(Event{To: Stopping, Cause: cause, Reason: why, Err: failure})
}

// ask makes the child end. It does not wait; only the first one counts.
func (i *incarnation) ask(w *cancellation) { i.stopOnce.Do(func() { i.stop <- w }) }

// reasonOf is a cancellation as the reason in events and errors of this actor.
func (i *incarnation) reasonOf(w *cancellation) string {
	if w.Canceller.Is(i.env.self) {
		return w.Reason
	}
	return w.Error()
}

// acknowledge tells whoever waits for the child's answer to a cancel request that it
// has come, or never will.
func (i *incarnation) acknowledge() { i.ackOnce.Do(func() { close(i.acked) }) }

// own is the goroutine that the child belongs to, from ready to reaped.
func (i *incarnation) own() {
	proc := i.proc.Load()
	select {
	case w := <-i.stop:
		i.onCancel(w)
	case s := <-i.unwell:
		i.onUnhealthy(s)
	case <-proc.Dead():
		i.died()
	case <-i.connection.gone():
		i.unlinked()
	}
	i.release()
}

// lastFrames is how long what a dead process has sent may take to be read.
const drainBound = 50 * time.Millisecond

// lastBreath is how long the end of a process may take that has lost its link
// without a word: a dying process closes its connections first, and on a busy
// machine is reaped much later. How it died says more than that the link is lost.
const deathBound = 500 * time.Millisecond

// died handles a process that has ended by itself.
func (i *incarnation) died() {
	if !i.connection.drain() {
		i.connection.abort(errors.New("the process has ended"))
	}
	if i.leftInOrder() {
		i.endWith(Finished, "by itself", nil)
		i.acknowledge()
		i.lose(fmt.Errorf("%w: %s has ended by itself", fault.ErrActorClosing, i.id))
		return
	}
	failure := i.whyItEnded()
	i.endWith(Crashed, failure.Error(), failure)
	i.acknowledge()
	i.lose(failure)
}

// leftInOrder reports whether the child has ended itself, and well: it said goodbye, with
// no failure, and exited with 0. A foreign program cannot say goodbye.
func (i *incarnation) leftInOrder() bool {
	goodbye, reason := i.connection.farewell()
	exit, _ := i.proc.Load().Exit()
	return (goodbye || i.foreign()) && reason == nil && exit.Success()
}

// whyItEnded says why an actor ended that nobody had asked to: its own last words,
// if it had any, else how its process ended.
func (i *incarnation) whyItEnded() error {
	if _, reason := i.connection.farewell(); reason != nil {
		return reason
	}
	return i.deathOf(i.proc.Load())
}

// deathOf says how a process has ended.
func (i *incarnation) deathOf(proc *process.Process) error {
	exit, _ := proc.Exit()
	died := &fault.ActorDied{ID: i.id, ExitCode: exit.Code, Limit: exit.Limit, LastLog: exit.LastLog, PeakRSS: exit.PeakRSS, CPU: exit.CPU, OOM: exit.OOM}
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
func (i *incarnation) unlinked() {
	proc := i.proc.Load()
	goodbye, _ := i.connection.farewell()
	patience := deathBound
	if goodbye {
		patience = i.bounds().grace
	}
	if i.within(proc.Dead(), patience) {
		i.died()
		return
	}
	reason := "it closed the link and went on running"
	if err := i.connection.breach(); err != nil {
		reason = err.Error()
	}
	failure := &fault.LinkLost{Peer: i.id, Reason: reason}
	i.endWith(Transport, reason, failure)
	i.acknowledge()
	i.lose(failure)
	i.escalate(stepTerminate, unheard)
}

// onUnhealthy ends a child that is unwell. One that still answers is asked first.
func (i *incarnation) onUnhealthy(s unwell) {
	i.endWith(s.cause, s.reason, s.failure)
	if !s.answers {
		i.acknowledge()
		i.lose(s.failure)
		i.escalate(stepTerminate, mute)
		return
	}
	i.askToEnd(&cancellation{Canceller: i.env.self, Reason: "it is " + string(s.cause) + ": " + s.reason})
	i.lose(s.failure)
}

// onCancel ends the child when it is its turn. One that ends by itself before that has not
// been asked.
func (i *incarnation) onCancel(w *cancellation) {
	done := i.awaitTurn()
	defer done()
	switch {
	case isClosed(i.proc.Load().Dead()):
		i.died()
	case isClosed(i.connection.gone()):
		i.unlinked()
	default:
		i.tearDown(w)
	}
}

// tearDown ends the child in order: first by asking it, then with more and more
// force.
func (i *incarnation) tearDown(w *cancellation) {
	reason := i.reasonOf(w)
	i.endWith(Requested, reason, nil)
	i.askToEnd(w)
	i.lose(i.afterwards(reason))
}

// askToEnd goes down the whole ladder. An actor whose link is gone ends by itself; a
// foreign program that could not be asked does not know that it should.
func (i *incarnation) askToEnd(w *cancellation) {
	i.refuse(fmt.Errorf("%w: %s was asked to end (%s)", fault.ErrActorClosing, i.id, i.reasonOf(w)))
	t := i.request(w)
	i.acknowledge()
	if t == unheard && i.foreign() {
		t = unasked
	}
	i.escalate(next(stepAsk, t), t)
	i.connection.drain()
}

// awaitTurn waits for the child's turn to end. What it waits comes off its grace, so
// that the whole ladder takes no longer.
func (i *incarnation) awaitTurn() (done func()) {
	begun, patience := time.Now(), i.bounds().grace/2
	done = i.env.turns.take(patience, i.proc.Load().Dead(), i.connection.gone(), i.env.hurry)
	i.queued = min(time.Since(begun), patience)
	return done
}

// afterwards is what calls get that a requested end has cut off.
func (i *incarnation) afterwards(reason string) error {
	exit, _ := i.proc.Load().Exit()
	if exit.Success() {
		return fmt.Errorf("%w: %s has ended (%s)", fault.ErrActorClosing, i.id, reason)
	}
	return i.whyItEnded()
}

// request is the first step: it sends the cancel request and waits for the ack,
// which comes when all of the actor's tasks have ended.
func (i *incarnation) request(w *cancellation) trigger {
	b := i.bounds()
	var err error
	request := wire.CancelRequest{Canceller: w.Canceller, Reason: wire.Text(w.Reason), Grace: b.grace}
	i.cancelling = task.Start(func() { err = i.connection.ask(request) })
	t := i.wait(stepAsk, i.cancelling.Done(), i.connection.gone())
	switch goodbye, _ := i.connection.farewell(); {
	case t == elapsed:
		i.ackErr = dialog.Unacked(fault.ErrActorTooSlow, i.id, b.cancel)
	case t == hurried, goodbye: // one that says goodbye was about to end anyway
	case !isClosed(i.cancelling.Done()):
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
func (i *incarnation) escalate(s step, why trigger) {
	proc := i.proc.Load()
	for {
		i.useForce(s, why)
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
func (i *incarnation) useForce(s step, why trigger) {
	if s < stepTerminate {
		return
	}
	i.tell(Event{To: Stopping, Cause: i.cause, Step: s.String(), Reason: why.String()})
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

// release lets go of everything that belonged to the child. Its process is gone.
func (i *incarnation) release() {
	if proc := i.proc.Load(); proc != nil {
		<-proc.Done() // it is dead; what it had started is, too, from now on
	}
	i.disconnect()
	if i.server != nil {
		i.server.Stop()
		i.serving.Wait()
	}
	if i.table == nil { // a link may have come while the start was given up
		select {
		case i.table = <-i.links:
			i.disconnect()
		default:
		}
	}
	if i.cancelling != nil {
		i.cancelling.Wait()
	}
	i.plugin.Kill() // lets go of what go-plugin holds
}

func (i *incarnation) disconnect() {
	if i.connection == nil && i.table != nil { // it has come, and was never ready
		i.connection = linkConnection{i.table}
	}
	if i.connection == nil {
		return
	}
	gone := fmt.Errorf("%w: %s is gone", fault.ErrActorClosing, i.id)
	i.calls.endAll(gone)
	i.connection.close(gone)
}

// await reports whether done is closed within the bound.
func (i *incarnation) within(done <-chan struct{}, bound time.Duration) bool {
	return closedWithin(done, bound)
}

// bounds are the times of this child's teardown, as long as each may take from now on:
// those of its spec, or what a host can give it that is being ended itself.
func (i *incarnation) bounds() bounds {
	b := boundsOf(i.spec)
	b.grace -= i.queued
	return b.within(i.env.ending.Left(time.Now()))
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
