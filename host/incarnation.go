package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/callers"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// incarnation is one process of a child, from its start to its reaping. One goroutine owns
// it, that of [child.run]: it calls start and then live, which returns when nothing of the
// process is left. All others only send to its channels.
//
// There is no lock. What is set by start and read by others, such as table and endpoints, is
// set before the child is up, and they find the incarnation only after that, under the
// nursery's lock. program is changed under it (discarded), and so others read it under it before
// the child is up. cancelled, links and acked may be used at any time.
//
// What an incarnation owns ends in release: the program with its process and connections, the
// table, the watch, and the goroutine of the cancel request.
type incarnation struct {
	execution
	owner  owner
	giveUp context.CancelCauseFunc // ends the start, with the reason as cause

	epoch      int                // of the child's processes, which one it is; set before it is started
	warm       bool               // it begins with the process of a spare
	told       *wire.BootRequest  // what the child is told of itself
	links      chan *dialog.Table // cap 1: the child has opened its link
	table      *dialog.Table      // nil for a foreign program
	connection connection         // nil until the start has succeeded
	endpoints  []*wire.Endpoint
	hosted     directory.Membership // whose events it tells of what it hosts itself
	telling    atomic.Bool          // it does so
	speaking   atomic.Bool          // it tells what these say
	refusals   limiter              // calls of it, and of its host by it
	asker      route.Inquirer       // for its numbers

	watch  watch // while it is up
	ladder ladder

	cancelled  chan *cancellation // cap 1: somebody wants it to end
	cancelOnce sync.Once          // only the first one counts

	asking  *task.Worker // the cancel request, nil if none was sent
	ackOnce sync.Once
	acked   chan struct{} // the cancel request was answered, or never will be
	ackErr  error         // that the answer did not come in time; set before acked is closed
}

// owner is whom an incarnation tells what becomes of it: its child, or what stands for it
// in a test. No method waits. Any goroutine may call them, but none that holds a lock:
// they take that of the nursery.
type owner interface {
	// identified says that there is a process, and so which pid it has.
	identified(id actor.ID)
	// discarded says why a spare is not used. The owner calls replace, which puts a process in its
	// place that is still to be started, in the same change.
	discarded(why error, replace func())
	// checked says what a health check has found: nothing, or why it has failed.
	checked(reason string, failure error)
	// note tells an event that changes no state.
	note(e directory.Event)
	// stopping says that the process, which was up, is being ended or has died. The owner
	// calls refuse, which fails new calls, in the same change.
	stopping(how end, refuse func())
}

func newIncarnation(o owner, x execution, warm bool, hosted directory.Membership, giveUp context.CancelCauseFunc) *incarnation {
	i := &incarnation{
		execution: x, warm: warm, owner: o, hosted: hosted, giveUp: giveUp, watch: newWatch(x.spec, o.checked, o.note),
		links: make(chan *dialog.Table, 1), cancelled: make(chan *cancellation, 1), acked: make(chan struct{}),
	}
	i.ladder = i.newLadder(func(e directory.Event) {
		i.span.Event(e.Step, telemetry.Field{Key: "reason", Value: e.Reason})
		o.note(e)
	})
	return i
}

// served is what the process serves, as the directory has it.
func (i *incarnation) served() []directory.Endpoint {
	served := make([]directory.Endpoint, len(i.endpoints))
	for n, e := range i.endpoints {
		served[n] = directory.Endpoint{Name: e.Name, Kind: dialog.KindName(e.Kind)}
	}
	return served
}

// route is where a START goes on to that the child has opened, or relays, for another actor.
// It runs on the link's reader, and takes the lock of a nursery.
func (i *incarnation) route(s *wire.Start) (*dialog.Table, error) {
	next, err := i.env.router.FromChild(s, i.hosted.Path(), i.id)
	if s.Opener != nil && i.joined() {
		s.Opener.Joined = true
	}
	return next, err
}

// admit is why a dialog that others have opened is not relayed to the child. If it is for the
// child itself, this is the host that knows for certain who both of them are. A child that has
// told of nobody below it gets what is for itself only, whether it looks at the target or not.
// What a program that has joined hosts is not to it as others are that have joined.
func (i *incarnation) admit(s *wire.Start) (last bool, err error) {
	path := i.hosted.Path()
	switch last = s.Target.Path == path; {
	case last:
		joined := s.Opener.Joined && (!i.joined() || !treepath.IsBelow(s.Opener.Path, path))
		err = i.mayCall(callers.Caller{Path: s.Opener.Path, Joined: joined}, s.Endpoint)
	case !i.telling.Load():
		err = fmt.Errorf("%w: %.100q", directory.ErrNotFound, s.Target.Path)
	}
	return last, err
}

// cancel makes the process end. It does not wait; only the first one counts. It may come
// before the process is up: the channel has room for it, and awaitEnd finds it there.
func (i *incarnation) cancel(why *cancellation) { i.cancelOnce.Do(func() { i.cancelled <- why }) }

// reasonOf is a cancellation as the reason in events and errors of this actor. It names
// the canceller only if that is another actor than the host, such as the host's own host.
func (i *incarnation) reasonOf(why *cancellation) string {
	if why.Canceller.Is(i.env.self) {
		return why.Reason
	}
	return why.Error()
}

// acknowledge tells whoever waits for the child's answer to a cancel request that it
// has come, or never will.
func (i *incarnation) acknowledge() { i.ackOnce.Do(func() { close(i.acked) }) }

// live sees to a process that is up, until it is reaped, and says how it has ended. The
// watch is waited for last: its workers call the process, and return when the connection
// is closed.
func (i *incarnation) live() end {
	i.watch.start(i.program, i.id, i.table)
	t := i.awaitEnd()
	i.beginSpan(trace.SpanContext{})
	i.endWith(t)
	i.release()
	i.watch.wait()
	return t.end
}

// teardown is how a process that was up ends: what is told of it, and how much of it is
// still to be done. Exactly one is made in the life of an incarnation, by one of the on…
// methods; they decide and do not act, and endWith alone carries it out.
type teardown struct {
	end
	request *cancellation // what it is asked to end with; nil if it has ended, or cannot be asked
	force   trigger       // if it was not asked and lives: why force is used at once
	dead    bool          // the process has ended by itself
	done    func()        // gives the turn back that it has waited for; nil if it has not
}

// awaitEnd returns when something ends the process, or it has ended. If several things
// happen at once, any of them may be taken for the reason: each is true.
func (i *incarnation) awaitEnd() teardown {
	select {
	case why := <-i.cancelled:
		return i.onCancel(why)
	case ill := <-i.watch.found:
		return i.onUnhealthy(ill)
	case <-i.program.Process().Dead():
		return i.onDeath()
	case <-i.connection.gone():
		return i.onDisconnect()
	case <-i.hosted.Lost():
		return i.onPlaceLost()
	}
}

// endWith ends the process, and says so: every end of a process that was up is reported,
// explained to its calls, and carried out here, in this order.
//
// An actor that is asked to end may still finish what it is doing, and so calls in flight
// are lost only when the process is gone and all that it has sent was read. In any other
// case nothing more is expected of it, and they fail before force is used.
func (i *incarnation) endWith(t teardown) {
	if t.done != nil {
		defer t.done()
	}
	close(i.watch.ending) // what a check finds from now on is this end
	refusal := i.refusal(t)
	i.owner.stopping(t.end, func() { i.connection.refuse(refusal) })
	s, why := stepTerminate, t.force
	if t.request != nil {
		i.span.Event(stepAsk.String())
		why = i.request(t.request)
		i.span.Event(why.String())
		s = next(stepAsk, why)
	}
	// Whoever waits in Portal.Cancel goes on here, when the tasks have ended or the bound is
	// over, and does not wait for the exit of the process.
	i.acknowledge()
	if t.request == nil { // else calls may end in order, until the process has
		i.connection.lose(refusal)
	}
	if !t.dead {
		i.ladder.escalate(i.program.Process(), t.cause, s, why)
	}
	i.span.Event(string(directory.Reaped))
	if t.request != nil {
		i.connection.drain()
		i.connection.lose(i.loss(t))
	}
}

// refusal is why new calls fail, and those in flight if the process was not asked to end.
// A failure is given to them as it is, so that callers can tell a death from a lost link
// with errors.As.
func (i *incarnation) refusal(t teardown) error {
	switch {
	case t.request != nil:
		return fmt.Errorf("%w: %s was asked to end (%s)", fault.ErrActorClosing, i.id, i.reasonOf(t.request))
	case t.failure != nil:
		return t.failure
	}
	return fmt.Errorf("%w: %s has ended by itself", fault.ErrActorClosing, i.id)
}

// loss is why calls fail that the end has cut off of a process that was asked to end. It
// may have been asked and have crashed all the same: then the calls say so, though the
// child has ended as requested.
func (i *incarnation) loss(t teardown) error {
	exit, _ := i.program.Process().Exit()
	switch {
	case t.failure != nil:
		return t.failure
	case exit.Success():
		return fmt.Errorf("%w: %s has ended (%s)", fault.ErrActorClosing, i.id, t.reason)
	}
	return i.causeOfDeath()
}

// onCancel has the process asked to end when it is its turn. One that ends by itself
// before that is not asked, and has ended as it would have without the cancel: a crash
// while it waits for its turn is a failure. It takes calls as before until then.
func (i *incarnation) onCancel(why *cancellation) (t teardown) {
	done := i.ladder.awaitTurn(i.program.Process().Dead(), i.connection.gone())
	switch {
	case isClosed(i.program.Process().Dead()):
		t = i.onDeath()
	case isClosed(i.connection.gone()):
		t = i.onDisconnect()
	default:
		t = teardown{end: end{cause: directory.Requested, reason: i.reasonOf(why)}, request: why}
	}
	t.done = done
	return t
}

// onPlaceLost ends a process whose path may be another actor's by now. Another process would
// have no place, either.
func (i *incarnation) onPlaceLost() teardown {
	err := fmt.Errorf("%w: %s", directory.ErrLost, i.hosted.Path())
	return teardown{
		end:     end{cause: directory.Lost, reason: err.Error(), failure: err, lasting: true},
		request: &cancellation{Canceller: i.env.self, Reason: err.Error()},
	}
}

// onUnhealthy ends a process that is unwell. One that still answers is asked first. The
// request to one that does not would only cost the time of its bound.
func (i *incarnation) onUnhealthy(ill illness) teardown {
	if !ill.answers {
		return teardown{end: ill.end, force: mute}
	}
	return teardown{end: ill.end, request: &cancellation{Canceller: i.env.self, Reason: "it is " + string(ill.cause) + ": " + ill.reason}}
}

// onDeath says how a process has ended by itself. Its goodbye may still lie in the socket
// when the process is reaped, and so it is read to the end before it is asked whether
// there was one; what does not end in time is cut off.
func (i *incarnation) onDeath() teardown {
	if !i.connection.drain() {
		i.connection.abort(errors.New("the process has ended"))
	}
	if i.endedInOrder() {
		return teardown{end: end{cause: directory.Finished, reason: "by itself"}, dead: true}
	}
	failure := i.causeOfDeath()
	return teardown{end: end{cause: directory.Crashed, reason: failure.Error(), failure: failure}, dead: true}
}

// onDisconnect handles a link that has ended while the process may still live. Most often
// the process is about to be reaped, which tells more: a dying process loses its sockets
// first. One that has said goodbye runs its exit hooks now, and has its whole grace for
// them.
func (i *incarnation) onDisconnect() teardown {
	bound := deathBound
	if goodbye, _ := i.connection.farewell(); goodbye {
		bound = i.ladder.bounds().grace
	}
	if closedWithin(i.program.Process().Dead(), bound) {
		return i.onDeath()
	}
	reason := "it closed the link and went on running"
	if err := i.connection.breach(); err != nil {
		reason = err.Error()
	}
	return teardown{end: end{cause: directory.Transport, reason: reason, failure: &fault.LinkLost{Peer: i.id, Reason: reason}}, force: unheard}
}

// endedInOrder reports whether the child has ended itself, and well: it said goodbye, with
// no failure, and exited with 0. A foreign program cannot say goodbye. An actor that exits
// with 0 and without one, as after an os.Exit in a handler, has left its callers without
// an answer, and counts as crashed.
func (i *incarnation) endedInOrder() bool {
	goodbye, reason := i.connection.farewell()
	exit, _ := i.program.Process().Exit()
	return (goodbye || i.foreign()) && reason == nil && exit.Success()
}

// causeOfDeath says why an actor ended that nobody had asked to: its own last words,
// if it had any, else how its process ended.
func (i *incarnation) causeOfDeath() error {
	if _, reason := i.connection.farewell(); reason != nil {
		return reason
	}
	return i.causeOfExit()
}

// request is the first step of a teardown: it sends the cancel request and waits for the
// ack, which comes when all of the actor's tasks have ended. It returns why the teardown
// goes on.
//
// The request has a goroutine of its own, which release waits for: it may outlast the
// wait, by far if the child never answers. The child is told how long it has after its
// answer (Grace), as it hands that down to children of its own. ackErr is for
// Portal.Cancel, and is set only when the child was too slow: a link that is gone has no
// tasks that anybody could wait for.
func (i *incarnation) request(why *cancellation) trigger {
	b := i.ladder.bounds()
	var err error
	request := wire.CancelRequest{Canceller: why.Canceller, Reason: wire.Text(why.Reason), Grace: b.grace}
	i.asking = task.Start(func() { err = i.connection.ask(request) })
	t := i.ladder.wait(stepAsk, i.asking.Done(), i.connection.gone())
	asked := isClosed(i.asking.Done())
	switch goodbye, _ := i.connection.farewell(); {
	case t == elapsed:
		i.ackErr = dialog.Unacked(fault.ErrActorTooSlow, i.id, b.cancel)
		return t
	case t == hurried, goodbye: // one that says goodbye was about to end anyway
		return t
	case asked && err == nil:
		return t
	case asked && !errors.Is(err, errCannotBeAsked):
		i.env.log.Warn("the cancel request failed", "actor", i.id.String(), "error", err)
	}
	if i.foreign() { // it does not know that it should end
		return unasked
	}
	return unheard
}

// release lets go of everything that belonged to the process, and waits for its end. The
// order matters: with the process gone nobody connects to the link any more; with the link
// closed the program's own handler of it returns, which Release waits for; and after that, a
// link that was accepted at the last moment is certain to be in i.links.
//
// It is also called for a start that has failed at any stage, so that most of what
// it releases may never have been made.
func (i *incarnation) release() {
	i.awaitDone()
	gone := fmt.Errorf("%w: %s is gone", fault.ErrActorClosing, i.id)
	i.disconnect(gone)
	if i.asking != nil {
		i.asking.Wait()
	}
	i.asker.Close()
	i.program.Release()
	if i.table == nil { // a link may have come while the start was given up
		select {
		case i.table = <-i.links:
			i.disconnect(gone)
		default:
		}
	}
}

func (i *incarnation) disconnect(why error) {
	switch {
	case i.connection != nil:
		i.connection.close(why)
	case i.table != nil: // it has come, and was never ready
		linkConnection{i.client, i.table}.close(why)
	}
}

// cancellation is who wants a child to end, and why.
type cancellation = fault.ContextCancelled
