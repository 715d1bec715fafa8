package dialog

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/link"
	"github.com/seed-2ba35074/trellis/shared/wire"
)

// Kind is what sort of endpoint a dialog runs.
type Kind = wire.EndpointKind

// The kinds of endpoints.
const (
	Func    = wire.EndpointKind_ENDPOINT_KIND_FUNC    // one call, one answer
	Source  = wire.EndpointKind_ENDPOINT_KIND_SOURCE  // a one-way stream to the opener
	Context = wire.EndpointKind_ENDPOINT_KIND_CONTEXT // a linked pair with a two-way stream
)

// KindName is the kind's name in texts.
func KindName(k Kind) string {
	switch k {
	case Func:
		return "func"
	case Source:
		return "source"
	case Context:
		return "context"
	case wire.EndpointKind_ENDPOINT_KIND_UNSPECIFIED:
	}
	return fmt.Sprintf("kind %d", k)
}

// Dialog is one side of a linked pair of tasks. It is a guarded table: every fact
// is changed under mu by apply, which asks the state machine; a dialog owns no
// goroutine. All methods may be called at any time from anywhere.
type Dialog struct {
	id     uint64
	table  *Table
	kind   Kind
	callee bool
	start  *wire.Start // callee: what came
	args   []byte      // callee: Start's payload
	weight int         // callee: bytes of its Start

	endpoint  string
	following sync.WaitGroup // opener: the end of the scope's ctx that is being told

	outer  context.Context // what ctx derives from
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  task.Group // that this side's task has started with Go

	mu      sync.Mutex
	state   State
	began   bool         // opener: Started has come
	done    bool         // opener: result and outcome are final
	asked   bool         // Cancel was called here
	blamed  bool         // cause is a failure that the peer reported
	ordered bool         // something of this dialog went into the data lane
	ripe    bool         // it is in the table's list of that name
	held    bool         // likewise
	raised  [alarms]bool // what the log has been told
	in      inflow
	out     outflow
	first   []byte        // opener: the value of Started
	cause   error         // why this side's task was told to end; the first one stays
	told    *fault.Record // the failure that the peer was told
	result  []byte        // opener: the callee's value
	outcome error         // opener: the callee's failure
	remote  error         // opener: the callee's failure, as it came
	unacked error         // a Cancel was not answered, and the dialog was cut
	changed chan struct{} // made by a waiter, closed at the next change
}

// Self is the actor at this side.
func (d *Dialog) Self() actor.ID { return d.table.Self() }

// Peer is the actor at the other side.
func (d *Dialog) Peer() actor.ID { return d.table.Peer() }

// Context is cancelled, with the reason as cause, when this side's task must end.
func (d *Dialog) Context() context.Context { return d.ctx }

// Request is the Start that a callee's dialog began with.
func (d *Dialog) Request() *wire.Start { return d.start }

// Args is the payload of the opener's Start.
func (d *Dialog) Args() []byte { return d.args }

// First is the payload of the callee's Started.
func (d *Dialog) First() []byte { return d.first }

// Go runs f as a further task of this side. This side ends when all of them have;
// one that fails or panics makes this side fail with it.
func (d *Dialog) Go(f func(ctx context.Context) error) {
	d.tasks.Go(func() {
		if err := fault.Catch(func() error { return f(d.ctx) }); err != nil {
			d.event(DoAbort, note{err: err})
		}
	})
}

// join waits for the tasks of Go; after a failure they are told to end.
func (d *Dialog) join(err error) {
	if err != nil {
		d.event(DoAbort, note{err: err})
	}
	d.tasks.Wait()
}

// note is what comes with an event.
type note struct {
	err     error  // why: the cause, failure or outcome
	payload []byte // of Started and Return
}

// apply steps the state machine and does what it says. It holds mu; everything
// that it does is quick and calls no user code.
func (d *Dialog) apply(e Event, n note) Action {
	var do Action
	was := d.state.Phase
	d.state, do = Step(d.state, e)
	if do&Interrupt != 0 || d.state.Phase == Ending || e == DoFail && was != Over {
		d.blame(n.err, e == GotFail || e == GotError)
	}
	if do&Interrupt != 0 && d.cancel != nil {
		d.cancel(d.interruption())
		d.agree()
	}
	if e == Timeout && do&Acked != 0 {
		d.unacked = n.err
	}
	if do&Answer != 0 {
		d.answer(e, n)
	}
	d.emit(do, n)
	if d.state.Phase == Over {
		d.in.close()
		if !d.state.CancelSent { // else the ack is still to come
			d.table.remove(d)
		}
	}
	d.wake()
	return do
}

// blame records the first reason for which this side's task must end.
func (d *Dialog) blame(err error, byPeer bool) {
	if d.cause == nil && err != nil {
		d.cause, d.blamed = err, byPeer
	}
}

// agree makes the cause that of the task's ctx, if that had ended by itself and for
// the same reason: a deadline that both sides have is one failure.
func (d *Dialog) agree() {
	own := context.Cause(d.ctx)
	if d.cause != nil && own != d.cause && !fault.IsCancel(d.cause) && fault.Echoes(d.cause, fault.Reason(d.ctx, own)) { //nolint:errorlint // identity is meant
		d.cause, d.blamed = own, false
	}
}

// interruption is the cause for the task's ctx. A value that won against our own
// cancel still ends the scope: nobody failed, so the cause is plain.
func (d *Dialog) interruption() error {
	if d.cause == nil {
		return context.Canceled
	}
	return d.cause
}

// answer makes the outcome final. One failure is one object: what has been seen
// as cause before, or was told to the peer by us, is that and nothing new.
func (d *Dialog) answer(e Event, n note) {
	d.done, d.result, d.outcome = true, n.payload, n.err
	if e != GotError {
		if d.cause != nil && (e != GotReturn || d.kind != Func) {
			d.result, d.outcome = nil, d.cause // it had failed already
		}
		return
	}
	d.remote = n.err
	switch {
	case d.cause == nil || n.err == d.cause: //nolint:errorlint // identity is meant
	case d.blamed:
		d.outcome = d.cause
		if !fault.Holds(n.err, d.cause) {
			d.table.log().Warn("a failed context failed again while it ended", "peer", d.Peer().String(), "error", n.err)
		}
	case d.isEcho(n.err):
		d.outcome = d.cause
	}
}

// isEcho reports whether the peer's failure is the one that it was told, or merely
// that it was cancelled.
func (d *Dialog) isEcho(err error) bool {
	if fault.Echoes(err, d.reason()) {
		return true
	}
	remote, ok := err.(*fault.RemoteError) //nolint:errorlint // the ending itself
	return ok && d.told != nil && remote.ID() == d.told.ID
}

// emit queues the frames of one step, in the order that the protocol wants.
func (d *Dialog) emit(do Action, n note) {
	if do&SendStarted != 0 {
		d.sendSized(wire.Kind_KIND_STARTED, n.payload, d.in.window.wire())
	}
	if do&SendFail != 0 {
		d.told = fault.Pack(d.cause, d.Self())
		d.sendFault(wire.Kind_KIND_FAIL, d.told)
	}
	if do&SendCancel != 0 {
		d.sendCancel(wire.Kind_KIND_CANCEL, cancelFrame(n.err))
	}
	if do&SendCancelAck != 0 {
		d.sendCancel(wire.Kind_KIND_CANCEL_ACK, nil)
	}
	if do&SendReturn != 0 {
		d.sendSized(wire.Kind_KIND_RETURN, n.payload, nil)
	}
	if do&SendError != 0 {
		d.sendFault(wire.Kind_KIND_ERROR, fault.Pack(d.failure(n.err), d.Self()))
	}
}

func (d *Dialog) sendFault(kind wire.Kind, r *fault.Record) {
	d.send(link.Control, &wire.Frame{Kind: kind, Fault: wire.FromRecord(r), Yields: d.out.sent})
}

func (d *Dialog) sendCancel(kind wire.Kind, c *wire.Cancel) {
	d.send(link.Control, &wire.Frame{Kind: kind, Cancel: c})
}

func cancelFrame(err error) *wire.Cancel {
	c, ok := fault.Cancelled(err)
	if !ok {
		return &wire.Cancel{}
	}
	return &wire.Cancel{Canceller: wire.FromID(c.Canceller), Reason: fault.Text(c.Reason)}
}

// failure is what the callee's ending says: its own failure if it had one, else
// why it was told to end, else that it never started.
func (d *Dialog) failure(err error) error {
	switch {
	case err == nil && d.cause != nil:
		return d.cause
	case err == nil:
		return fault.ErrNeverStarted
	case d.cause == nil:
		return err
	}
	return fault.Settle(err, d.reason())
}

// sendSized sends a frame whose payload may be large. It must not overtake what
// this dialog has in the data lane.
func (d *Dialog) sendSized(kind wire.Kind, payload []byte, window *wire.Window) {
	lane := link.Control
	if d.ordered || len(payload) > smallPayload {
		lane = link.Answer
	}
	d.send(lane, &wire.Frame{Kind: kind, Payload: payload, Window: window})
}

// smallPayload is what may go before data, in bytes.
const smallPayload = link.Copied

func (d *Dialog) send(lane link.Lane, f *wire.Frame) { d.sendOwned(lane, f, nil) }

// sendOwned sends a frame whose payload lies in a buffer, which is the link's then.
func (d *Dialog) sendOwned(lane link.Lane, f *wire.Frame, owner *wire.Buffer) {
	f.Dialog = d.id
	d.ordered = d.ordered || lane != link.Control
	d.table.link.SendOwned(lane, f, owner)
}

// event is apply for callers that hold no lock.
func (d *Dialog) event(e Event, n note) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apply(e, n)
}

// wake lets everyone who waits look again.
func (d *Dialog) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// rouse is wake for a dialog that has left a list of its table, where it had a mark.
func (d *Dialog) rouse(mark *bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*mark = false
	d.wake()
}

// change returns a channel that is closed at the next change.
func (d *Dialog) change() <-chan struct{} {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

// await calls ready under the lock, now and after every change, until it reports
// true; or until ctx ends, which gives its cause.
func (d *Dialog) await(ctx context.Context, ready func() bool) error {
	for {
		d.mu.Lock()
		if ready() {
			d.mu.Unlock()
			return nil
		}
		changed := d.change()
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look calls ready under the lock, once.
func (d *Dialog) look(ready func() bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ready()
}

// Wait returns the callee's value, or the failure that the context ended with. It
// may be called any number of times, from anywhere, and gives the same each time;
// a ctx that ends first gives its own cause and changes nothing.
func (d *Dialog) Wait(ctx context.Context) ([]byte, error) {
	if err := d.await(ctx, func() bool { return d.done }); err != nil {
		return nil, err
	}
	return d.result, d.outcome
}

// Remote is the callee's failure as it came over the wire, with its relay path;
// nil before the end, after a value, and if the link was lost.
func (d *Dialog) Remote() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remote
}

// Cancel asks the peer's task to end and returns when it has ended, clean-up
// included. It is shielded from ctx's own cancellation and bounded by the table's
// cancel timeout, past which it returns ErrCancelUnacked and the dialog is cut. A
// peer that has ended already is no error.
func (d *Dialog) Cancel(ctx context.Context, reason string) error {
	d.mu.Lock()
	d.asked = true
	self := d.Self()
	d.apply(DoCancel, note{err: &fault.ContextCancelled{Canceller: self, Reason: reason}})
	d.mu.Unlock()

	bound := d.table.cfg.CancelTimeout
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer stop()
	if d.await(limited, func() bool { return !d.state.CancelSent }) != nil {
		d.event(Timeout, note{err: fault.Unacked(fault.ErrCancelUnacked, d.Peer(), bound)})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unacked // nil also if the ack came at the last moment
}

// Started is the callee's word that the context is open; value goes to the opener.
func (d *Dialog) Started(value []byte) error {
	if err := d.checkSize(len(value)); err != nil {
		return err
	}
	leave, err := d.takeTurn(len(value))
	if err != nil {
		return err
	}
	defer leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	twice := d.state.Phase == Live
	if d.apply(DoStarted, note{payload: value, err: fault.ErrStartedTwice})&Refuse == 0 {
		return nil
	}
	if twice || d.cause == nil {
		return fault.ErrStartedTwice
	}
	return d.cause
}

// Break fails the dialog on both sides: the runtime found that it cannot go on.
func (d *Dialog) Break(err error) { d.event(DoBreak, note{err: err}) }

// drain waits until the callee has ended. If it was told to end and takes longer
// than a cancel may, the log says so, once.
func (d *Dialog) drain() {
	ended := func() bool { return d.done }
	d.mu.Lock()
	told, cause := d.state.FailSent || d.asked, d.cause
	d.mu.Unlock()
	if told {
		limited, stop := context.WithTimeout(context.Background(), d.table.cfg.CancelTimeout)
		defer stop()
		if d.await(limited, ended) == nil {
			return
		}
		d.table.log().Warn("still waiting for a task that was told to end",
			"peer", d.Peer().String(), "endpoint", d.endpoint, "told", cause)
	}
	_ = d.await(context.Background(), ended) // that ctx never ends
}

// finish is the callee's ending.
func (d *Dialog) finish(payload []byte, err error) {
	if err == nil {
		err = d.checkSize(len(payload))
	}
	if err == nil {
		var leave func()
		if leave, err = d.takeTurn(len(payload)); err == nil {
			defer leave()
		}
	}
	if err != nil {
		d.event(DoFail, note{err: err})
		return
	}
	d.event(DoSucceed, note{payload: payload})
}
