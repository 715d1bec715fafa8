package dialog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Kind is what sort of endpoint a dialog runs.
type Kind = wire.EndpointKind

// The kinds of endpoints.
const (
	Func    = wire.EndpointKind_ENDPOINT_KIND_FUNC    // one call, one answer
	Source  = wire.EndpointKind_ENDPOINT_KIND_SOURCE  // a one-way stream to the opener
	Context = wire.EndpointKind_ENDPOINT_KIND_CONTEXT // a linked pair with a two-way stream
)

var kinds = map[Kind]string{Func: "func", Source: "source", Context: "context"}

// KindName is the kind's name in texts.
func KindName(k Kind) string {
	if name, known := kinds[k]; known {
		return name
	}
	return fmt.Sprintf("kind %d", k)
}

// Dialog is one side of a linked pair of tasks. It belongs to its [Table] until both sides have
// ended, and owns no goroutine but those of Go. It is a guarded table: mu guards the fields
// below it, args and span; apply alone changes the state, by asking
// the state machine. The other fields are set before anybody else can find the dialog. All
// methods may be called at any time from anywhere.
type Dialog struct {
	outlet
	kind    Kind
	callee  bool
	start   *wire.Start               // callee: what came
	args    []byte                    // callee: the opener's arguments, once complete; opener: the value of Started
	weight  int32                     // callee: bytes of its Start
	sending atomic.Int32              // callee: the microseconds that Started has taken, which do not count for pace
	task    Task                      // callee, or member: what its task does next; only that uses it
	pace    *pace                     // callee: of its endpoint; nil if that is the runtime's own
	turn    atomic.Pointer[link.Turn] // callee: of the reader that its task runs on, if that is so

	endpoint  string
	far       *wire.Address  // the actor at the other side, if others relay the dialog; nil if it is the table's peer
	span      *tracing.Span  // of this side; nil if nobody keeps it
	following sync.WaitGroup // opener: the end of the scope's ctx that is being told

	outer    context.Context         // what ctx derives from
	deadline time.Time               // of ctx; zero if it has none
	ctx      context.Context         // callee: the dialog itself, a taskContext
	cancel   context.CancelCauseFunc // nil for the opener of a Func, whose ctx is its caller's, and until late is made
	once     sync.Once               // callee: late and cancel are made
	made     atomic.Bool             // callee: they have been
	late     context.Context         // callee: what ctx has become
	tasks    task.Group              // that this side's task has started with Go
	place    chan struct{}           // callee: what it has entered (Enter); only its task uses it
	owner    *wire.Buffer            // callee: what its value lies in (Own); only its task uses it
	member   *member                 // of an opener in a group, and of a callee that has hibernated

	mu          sync.Mutex
	*flows      // nil for a Func, which has no stream
	state       State
	began       bool           // opener: Started has come
	stuck       bool           // opener: the callee was told to end, and did not within the cancel bound
	done        bool           // opener: how it ended is known; end does not change any more
	asked       bool           // Cancel was called here
	running     bool           // this side's task has begun
	complete    bool           // callee: its arguments have come
	interrupted bool           // ctx is cancelled because of cause, or is about to be
	fresh       bool           // the stream is open from the start, and OpenStream has not returned it yet
	unread      bool           // it is in the table's list unread, to be woken at the packet's end
	stalled     bool           // it is in the table's list stalled, to be woken when the link has drained
	asleep      bool           // this side's task hibernates
	warned      [warnings]bool // what the log has been told
	waiters     int32          // calls of Wait that have not returned
	born        moment         // set before anybody else can find the dialog
	cause       *reason        // why this side's task was told to end; the first one stays
	told        *wire.Fault    // the failure that the peer was told
	end         ending         // opener: how it ended, once done
	lapsed      error          // the first failure of a task of Go
	early       *note          // opener: the callee's ending, which must wait for this side's own deadline (gotFault)
	unacked     error          // what Cancel returns: it was not answered, and the dialog was cut
	changed     chan struct{}  // made by a waiter, closed at the next change

	outcome atomic.Pointer[outcome] // what end means, when somebody has looked
}

// Self is the actor at this side.
func (d *Dialog) Self() actor.ID { return d.table.Self() }

// Context is cancelled, with the reason as cause, when this side's task must end.
func (d *Dialog) Context() context.Context { return d.ctx }

// Request is the Start that a callee's dialog began with.
func (d *Dialog) Request() *wire.Start { return d.start }

// Args is what the opener has sent with its Start, or right behind it. It is there when the
// task begins.
func (d *Dialog) Args() []byte { return d.args }

// First is the payload of the callee's Started.
func (d *Dialog) First() []byte { return d.args }

// note is what an event says beside its kind: [Step] decides without looking at it.
type note struct {
	reason
	payload []byte       // of Started and Return
	refused bool         // of an ERROR that has come
	owner   *wire.Buffer // what it lies in; nil if that is nobody's
}

// because is a note of an error that may be an author's. It is packed here, where no
// lock is held.
func (d *Dialog) because(err error) note {
	return note{reason: reason{err: err, record: fault.Pack(err, d.Self())}}
}

// failed is what because returns for err, and an empty note if err is nil.
func (d *Dialog) failed(err error) note {
	if err == nil {
		return note{}
	}
	return d.because(err)
}

// saying is a note of an error of the runtime's own, or of one that came from the
// peer: nobody else's code is needed to pack it.
func saying(err error) note { return note{reason: reason{err: err}} }

// apply steps the state machine and does what it says. The caller holds mu. Nothing here blocks or
// calls an author's code: errors come packed, and are judged by whoever looks (ending.go). The cause
// is recorded first, as ctx, ending and frames are made of it; waking comes last, when all is true.
// An early ending is handled once our own deadline (DoAbort) has become the cause.
func (d *Dialog) apply(e Event, n note) Action {
	var do Action
	was := d.state.Phase
	d.state, do = Step(d.state, e)
	if do&Interrupt != 0 || d.state.Phase == Ending || e == DoFail && was != Over {
		d.blame(n.reason)
	}
	if do&Interrupt != 0 {
		d.interrupt()
	}
	if e == Timeout && do&Acked != 0 {
		d.unacked = n.err
	}
	if do&Answer != 0 {
		d.answer(e, n)
	}
	if d.state.Phase == Over {
		d.close()
		if !d.state.CancelSent { // else the ack is still to come
			d.table.remove(d)
		}
	}
	d.emit(do, n)
	d.wake()
	if e == DoAbort && d.early != nil {
		n, d.early = *d.early, nil
		d.apply(GotError, n)
	}
	return do
}

// blame records the first reason for which this side's task must end.
func (d *Dialog) blame(r reason) {
	if d.cause == nil && r.err != nil {
		d.cause = &r
	}
}

// interrupt cancels the task's ctx. What an author's context type does then may not return,
// so that happens in a goroutine of its own, unless nobody can have derived from ctx yet; Go has closed
// ctx.Done before. Everybody but the link's reader waits for that, in mustEnd, so that no author sees the
// reason before ctx has ended.
func (d *Dialog) interrupt() {
	if d.interrupted {
		return
	}
	d.interrupted = true
	why := d.interruption()
	if d.callee && (*taskContext)(d).make() {
		d.cancel(why)
	} else if cancel := d.cancel; cancel != nil {
		task.Start(func() { cancel(why) })
	}
}

// release frees what the ctx of this side holds, when its task has ended. It may be called twice.
func (d *Dialog) release() {
	d.mustEnd() // or ctx would end with nothing but Canceled
	if !d.callee {
		d.cancel(nil)
		return
	}
	(*taskContext)(d).close()
	d.mu.Lock()
	d.args, d.task = nil, nil // whoever keeps the ctx keeps the dialog
	d.mu.Unlock()
	if d.member != nil {
		d.member.unfollow()
	}
}

// interruption is the cause for the task's ctx. A value that won against our own
// cancel still ends the scope: nobody failed, so the cause is plain.
func (d *Dialog) interruption() error {
	if d.cause == nil {
		return context.Canceled
	}
	return d.cause.err
}

// answer keeps how the dialog ended, with all that bears on what it means.
func (d *Dialog) answer(e Event, n note) {
	if d.done = true; e == GotError && !n.byPeer {
		e = Lost // a relay has said that it does not know
	}
	d.end = ending{order: d.order(), by: e, value: n.payload, err: n.err, told: d.told, refused: n.refused}
	if d.stuck && !d.state.Cut {
		d.table.unstick(d.id)
	}
}

// emit queues the frames of one step, in the order that the protocol wants.
func (d *Dialog) emit(do Action, n note) {
	if do&SendStarted != 0 {
		d.span.Event("started")
		d.receive(d.in.want, d.reads)
		d.sendOwned(d.lane(len(n.payload)), &wire.Frame{
			Kind: wire.Kind_KIND_STARTED, Payload: n.payload,
			Window: d.in.window.wire(), Attached: d.in.attached, Overflow: d.in.overflow,
		}, n.owner)
	}
	if do&SendFail != 0 {
		d.told = d.cause.pack(d.Self())
		d.tell(wire.Kind_KIND_FAIL)
	}
	if do&SendCancel != 0 {
		asked := n.err.(*fault.ContextCancelled) //nolint:errorlint,forcetypeassert // of Cancel
		c := &wire.Cancel{Canceller: wire.FromID(asked.Canceller), Reason: wire.Text(asked.Reason)}
		d.send(link.Control, &wire.Frame{Kind: wire.Kind_KIND_CANCEL, Cancel: c})
	}
	if do&SendCancelAck != 0 {
		d.send(link.Control, &wire.Frame{Kind: wire.Kind_KIND_CANCEL_ACK})
	}
	if do&SendReturn != 0 {
		d.sendOwned(d.lane(len(n.payload)), &wire.Frame{Kind: wire.Kind_KIND_RETURN, Payload: n.payload}, n.owner)
	}
	if do&SendError != 0 {
		d.told = d.lastWord(n.reason).pack(d.Self())
		d.tell(wire.Kind_KIND_ERROR)
	}
}

// tell reports the failure that told is.
func (d *Dialog) tell(kind wire.Kind) {
	sent, stop := d.hangUp()
	d.sendFault(kind, d.told, sent, stop)
}

// lastWord is what the callee's Error says: its own failure, as finishFailed has made it; without one,
// why it was told to end; and if it was not, that it returned a value without ever calling Started.
func (d *Dialog) lastWord(own reason) *reason {
	switch {
	case own.err != nil:
		return &own
	case d.cause != nil:
		return d.cause
	}
	return &reason{err: fmt.Errorf("%w: the handler of %q returned without a call of Started", fault.ErrNeverStarted, d.endpoint)}
}

// event is apply for callers that hold no lock. The ctx has ended when it returns, if it
// has to.
func (d *Dialog) event(e Event, n note) {
	d.mu.Lock()
	d.apply(e, n)
	d.mu.Unlock()
	d.mustEnd()
}

// Cancel asks the peer's task to end and returns when it has ended, clean-up
// included. It is shielded from ctx's own cancellation and bounded by the table's
// cancel timeout, past which it returns ErrCancelUnacked and the dialog is cut. A
// peer that has ended already is not an error.
func (d *Dialog) Cancel(ctx context.Context, reason string) error {
	d.mu.Lock()
	d.asked = true
	d.apply(DoCancel, saying(&fault.ContextCancelled{Canceller: d.Self(), Reason: reason}))
	d.mu.Unlock()

	bound := d.table.cfg.CancelTimeout
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer stop()
	if d.await(limited, func() bool { return !d.state.CancelSent }) != nil {
		if d.look(func() bool { return d.state.CancelSent }) {
			d.stick()
		}
		d.event(Timeout, saying(Unacked(fault.ErrCancelUnacked, d.Peer(), bound)))
	}
	d.mustEnd() // and our own scope's ctx with it
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unacked // nil also if the ack came at the last moment
}

// Started is the callee's word that the context is open; value goes to the opener.
func (d *Dialog) Started(value []byte) error {
	leave, err := d.takeTurn(value)
	if err != nil {
		return err
	}
	defer leave()
	var twice, refused bool
	began := time.Now()
	d.promptly(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		twice = d.state.Phase == Live
		refused = d.apply(DoStarted, note{payload: value, reason: reason{err: fault.ErrStartedTwice}})&Refuse != 0
		twice = twice || d.cause == nil
	})
	d.sending.Add(int32(time.Since(began).Microseconds()))
	d.mustEnd()
	switch {
	case !refused:
		return nil
	case twice:
		return fault.ErrStartedTwice
	}
	return d.why()
}

// Break fails the dialog on both sides: the runtime found that it cannot go on.
func (d *Dialog) Break(err error) { d.event(DoBreak, d.because(err)) }

// finish is the callee's ending. A value that is too large, or must not be sent, is a failure. What
// the task was told may change while that is judged, without a lock; then it is judged again.
func (d *Dialog) finish(payload []byte, err error) {
	value := note{payload: payload, owner: d.owner}
	d.owner = nil // or a dialog that somebody still looks at would keep it
	if err == nil {
		var leave func()
		if leave, err = d.takeTurn(payload); err == nil {
			defer leave()
			d.promptly(func() { d.event(DoSucceed, value) })
			return
		}
		value.owner.Free() // many may be refused at once, and faster than garbage is collected
	}
	for !d.finishFailed(err) {
	}
}

// finishFailed ends the callee's task with what err says beside why it was told to end. It does
// nothing, and reports false, if the task was told to end after told was read: at most once, as
// the first cause stays.
func (d *Dialog) finishFailed(err error) bool {
	told := d.mustEnd()
	e := fault.EndingOf(d.ctx, err)
	e.Cause, _ = told.why()
	var n note
	if !e.Echo() {
		n = d.because(e.Failure())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause != told.cause {
		return false
	}
	d.apply(DoFail, n)
	return true
}
