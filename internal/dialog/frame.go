package dialog

import (
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// frame takes one frame for this dialog, on the link's reader. An error is the peer's violation;
// the link counts it. If the peer has only passed it on, the dialog fails instead.
func (d *Dialog) frame(f *wire.Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.judgeFrame(f)
	if err != nil && d.far != nil {
		d.apply(DoBreak, saying(err))
		return nil
	}
	return err
}

// judgeFrame takes a frame, or says what is wrong with it. Where the dialog cannot go on without what the frame should have said, it
// fails as well. The tally is checked after each frame, since a failure and the Stop that
// follows it may come in either order.
func (d *Dialog) judgeFrame(f *wire.Frame) error {
	if what := d.misplaced(f); what != "" {
		return d.violation(f, what)
	}
	if err := d.take(f); err != nil {
		return err
	}
	if d.flows != nil && !d.in.tally() {
		return d.violation(f, "fewer messages have come than the failure counts")
	}
	return nil
}

// misplaced is what is wrong about a frame that must not come here, or not now; nothing
// otherwise.
func (d *Dialog) misplaced(f *wire.Frame) string { //nolint:cyclop // a case for each kind
	switch f.Kind {
	case wire.Kind_KIND_CREDIT:
		if d.kind == Func {
			return "to a func, which has no stream"
		}
	case wire.Kind_KIND_STARTED, wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR, wire.Kind_KIND_LOST:
		if d.callee {
			return "only a callee sends it"
		}
		if f.Kind == wire.Kind_KIND_LOST && d.far == nil {
			return "of a dialog that nobody relays"
		}
	case wire.Kind_KIND_YIELD:
		if d.kind == Func || d.kind == Source && d.callee || d.state.Phase == Opening {
			return fmt.Sprintf("to a %s in phase %v", KindName(d.kind), d.state.Phase)
		}
	case wire.Kind_KIND_ATTACH:
		if d.kind != Context || d.out.attached {
			return "of an end that is open, or that there is not"
		}
	case wire.Kind_KIND_ARGUMENTS:
		if !d.callee || d.complete {
			return "that nobody waits for"
		}
	}
	return ""
}

// take does what a frame says. Kinds that it does not know are of a later version of the
// protocol, and are ignored.
func (d *Dialog) take(f *wire.Frame) error {
	switch f.Kind {
	case wire.Kind_KIND_STARTED:
		return d.gotStarted(f)
	case wire.Kind_KIND_RETURN:
		return d.gotReturn(f)
	case wire.Kind_KIND_ERROR, wire.Kind_KIND_LOST:
		return d.gotFault(GotError, f)
	case wire.Kind_KIND_FAIL:
		return d.gotFault(GotFail, f)
	case wire.Kind_KIND_CANCEL:
		d.apply(GotCancel, saying(&fault.ContextCancelled{Canceller: d.canceller(f), Reason: f.Cancel.GetReason()}))
	case wire.Kind_KIND_CANCEL_ACK:
		d.apply(GotCancelAck, note{})
	case wire.Kind_KIND_ARGUMENTS:
		return d.gotArguments(f)
	case wire.Kind_KIND_YIELD:
		return d.gotYield(f)
	case wire.Kind_KIND_CREDIT:
		return d.gotCredit(f)
	case wire.Kind_KIND_ATTACH:
		d.out.attach(fromWire(f.Window), f.Overflow)
		d.wake()
	case wire.Kind_KIND_STOP:
		if d.flows != nil { // else it says nothing
			d.in.stopped = true
			d.out.deaf = d.out.deaf || f.Deaf
			d.wake()
		}
	}
	return nil
}

// gotStarted takes the callee's first value and window. Both are kept only in Opening. When the
// dialog has failed meanwhile, a Started that was on its way changes nothing; when it has
// started before, a second one is a violation.
func (d *Dialog) gotStarted(f *wire.Frame) error {
	if d.state.Phase == Opening {
		d.announced(f.Window, f.Attached, f.Overflow)
		d.args, d.began = f.Payload, true
		d.span.Event("started")
	}
	if d.apply(GotStarted, note{payload: f.Payload})&Violate == 0 {
		return nil
	}
	return d.violation(f, "in phase "+d.state.Phase.String())
}

// gotReturn takes the callee's value. A context has none before Started, but its callee has
// ended all the same: the dialog ends too, with the violation as its failure.
func (d *Dialog) gotReturn(f *wire.Frame) error {
	n := note{payload: f.Payload}
	if d.state.Phase == Opening {
		n.err = d.violation(f, "before STARTED")
	}
	d.apply(GotReturn, n)
	return n.err
}

// gotFault takes the peer's failure, which may have overtaken messages; f.Yields says how many
// there are in all. The callee has our deadline too, and may be faster by a moment. Its report
// then waits in early until our own ctx has ended, which by the clock it is about to, so that
// the scope fails with its own deadline and not with a remote error about it.
func (d *Dialog) gotFault(e Event, f *wire.Frame) error {
	if f.Fault == nil {
		return d.violation(f, "without its fault")
	}
	n := note{reason: reason{err: fault.Unpack(f.Fault), byPeer: f.Kind != wire.Kind_KIND_LOST, cancel: fault.IsCancelled(f.Fault)}, payload: f.Payload}
	n.refused = f.Kind == wire.Kind_KIND_ERROR && f.Fault.Refused && !d.began && f.Yields == 0
	if d.flows != nil {
		d.in.limited, d.in.limit = true, f.Yields
	}
	if e == GotError && d.cause == nil && d.expired() && fault.IsDeadline(f.Fault) {
		d.early = &n
		return nil
	}
	d.apply(e, n)
	return nil
}

func (d *Dialog) gotCredit(f *wire.Frame) error {
	if f.Window != nil {
		d.out.grow(fromWire(f.Window))
	}
	if !d.out.grant(f.Credit) {
		return d.violation(f, "more credit than was used")
	}
	d.wake()
	return nil
}

// canceller is who asked: the peer, if it does not name somebody else.
func (d *Dialog) canceller(f *wire.Frame) (id actor.ID) {
	if id = f.Cancel.GetCanceller().ToID(); id.IsZero() {
		id = d.Peer()
	}
	return id
}

// gotYield takes a message. A reader that waits is not woken here but at the end of the packet,
// so that many messages cost one wake-up. The changed channel exists only while somebody waits.
func (d *Dialog) gotYield(f *wire.Frame) error {
	d.table.counters.messagesIn.Add(1)
	switch d.in.arrive(f.Payload, f.Probe) {
	case doubtful:
		d.doubt()
	case kept:
		if d.in.spills() {
			d.warnOnce(warnOverflow)
		}
		if (d.changed != nil || d.asleep) && !d.unread {
			d.unread = true
			d.table.unread = append(d.table.unread, d)
		}
	case overrun:
		d.overrun()
	case overload:
		d.apply(DoBreak, saying(fmt.Errorf("%w: %d bytes of messages wait that have no room in their streams' windows, on the link to %v: read them, or send smaller ones",
			fault.ErrOverloaded, mostBeyond, d.Peer())))
	case overpaid:
		err := d.violation(f, "without credit")
		d.apply(DoBreak, saying(err))
		return err
	case dropped:
	}
	return nil
}

// newCallee is the callee's side of what a START opens. Its deadline counts from here, by this
// side's clock: a Start carries the time that is left, since clocks of machines differ.
func (t *Table) newCallee(f *wire.Frame) *Dialog {
	d := &Dialog{
		outlet: outlet{table: t, id: f.Dialog}, kind: f.Start.Kind, callee: true, start: f.Start, far: f.Start.Opener, args: f.Payload, endpoint: f.Start.Endpoint,
		running: true,
	}
	d.ctx = (*taskContext)(d)
	d.state.Phase = Live
	if d.kind == Context {
		d.state.Phase = Starting
	}
	if d.start.Timeout > 0 {
		d.deadline = time.Now().Add(time.Duration(d.start.Timeout))
	}
	d.complete = d.start.Arguments == 0
	d.weight = int32(weigh(f)) // cut below 2^31
	if d.kind != Func {
		d.flows = &flows{in: inflow{lent: guaranteed, quota: &t.quota}} // without a window until Started
		d.announced(f.Start.Window, f.Start.Attached, f.Start.Overflow)
		d.out.attached = d.out.attached || d.kind == Source
	}
	d.start.Window = nil // it is not needed any more, and a context may live for long
	if !d.runtime() {
		d.span = t.cfg.Spans.Server(d.start)
	}
	d.born = momentOf(d.span.Began())
	return d
}

// announced takes the peer's window from START or STARTED. With attached it is as if an ATTACH
// had come right after.
func (d *Dialog) announced(w *wire.Window, attached bool, overflow wire.Overflow) {
	d.out.announce(fromWire(w))
	if attached && d.kind == Context {
		d.out.attach(fromWire(w), overflow)
	}
}

// gotArguments takes the arguments that Start has announced. They were counted with it, so
// they must be what it has said.
func (d *Dialog) gotArguments(f *wire.Frame) error {
	if uint64(len(f.Payload)) != d.start.Arguments {
		err := d.violation(f, fmt.Sprintf("it has %d bytes, and its START has announced %d", len(f.Payload), d.start.Arguments))
		d.apply(DoBreak, saying(err))
		return err
	}
	d.args, d.complete = f.Payload, true
	d.wake()
	return nil
}

// awaitArguments waits for arguments that did not come with their Start, or for the end: the ctx
// has the opener's deadline, and ends with a Cancel that has passed the arguments on their way.
func (d *Dialog) awaitArguments() error {
	if d.start.Arguments == 0 {
		return nil
	}
	return d.await(d.ctx, func() bool { return d.complete })
}

func (d *Dialog) violation(f *wire.Frame, what string) error {
	return fmt.Errorf("%w: %v of dialog %d: %s", fault.ErrProtocol, f.Kind, d.id, what)
}

// attach opens this end, and tells the peer so, with the window that holds from now on.
func (d *Dialog) attach(o StreamOptions) {
	d.in.open(o.Window, o.overflow(), o.AllowOverruns)
	d.wake()
	if d.state.Cut || d.done {
		return // nobody listens any more
	}
	d.send(link.Control, &wire.Frame{Kind: wire.Kind_KIND_ATTACH, Window: d.in.window.wire(), Overflow: d.in.overflow})
}

// stop tells the peer that no more messages come, and, deaf, that none are read. It goes with the
// data, behind the last message. The deaf one may follow a plain one; else a second says nothing.
func (d *Dialog) stop(deaf bool) {
	if d.state.Phase == Over || d.state.Cut || d.out.stopped && (!deaf || d.in.deaf) {
		return
	}
	d.out.stopped = true
	if deaf {
		d.in.close()
	}
	d.wake()
	if d.done {
		return // the callee has ended, and nobody listens any more
	}
	d.send(link.Data, &wire.Frame{Kind: wire.Kind_KIND_STOP, Deaf: deaf})
}

// refusal is what a Start is answered with whose task has not begun.
func refusal(err error, self actor.ID) *wire.Fault {
	f := fault.Pack(err, self)
	f.Refused = true
	return f
}
