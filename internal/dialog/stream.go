package dialog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// StreamOptions says how this end of a stream receives. The receiver decides, not the sender: it
// is the receiver's memory, and the peer learns of the choice with Attach, Start or Started.
type StreamOptions struct {
	// Window is the receive buffer; zero fields mean what the context was opened with.
	Window Window
	// WithoutBackpressure lets the sender go on when the buffer is full; the
	// context then fails with a StreamOverrun. It still waits for the connection.
	WithoutBackpressure bool
	// AllowOverruns keeps up to this many bytes beyond the window instead.
	AllowOverruns int
}

func (o StreamOptions) overflow() wire.Overflow {
	switch {
	case o.AllowOverruns > 0:
		return wire.Overflow_OVERFLOW_KEEP
	case o.WithoutBackpressure:
		return wire.Overflow_OVERFLOW_FAIL
	}
	return wire.Overflow_OVERFLOW_WAIT
}

// Stream is this side's end of the message channel of a dialog. It is only a handle: what it
// does is kept in the [Dialog], and guarded by its mu. It ends with the dialog; Close is a way
// to leave before that. All methods may be called at the same time from many goroutines.
type Stream struct{ d *Dialog }

// flows are what a dialog has that a Func does not need, which is smaller by a third without:
// the stream, both ways, and what goes with it. The dialog's mu guards them.
type flows struct {
	in    inflow
	out   outflow
	reads *StreamOptions // callee: how its end receives that is open from the start (Receive)
	heard news           // what a task that hibernates has been told
}

// close drops what is queued, and all that comes.
func (f *flows) close() {
	if f != nil {
		f.in.close()
	}
}

// credit is how many messages may be sent before the sender waits; the one that probes is beyond it.
func (f *flows) credit() int {
	if f.out.room.Bytes <= 0 {
		return 0
	}
	return max(0, f.out.room.Messages)
}

// hangUp ends what this side sends after a failure: how many messages it was, and whether a
// Stop must follow.
func (f *flows) hangUp() (sent uint64, tell bool) {
	if f == nil {
		return 0, false
	}
	return f.out.sent, f.out.hangUp()
}

// OpenStream opens this side's end. It waits for nothing. A second time gives
// ErrStreamClosed; before Started it is ErrNotStarted; on a context that has
// failed or was cancelled it is that failure; but what a callee sent before it
// failed can be received. An end that is open from the start has its options.
func (d *Dialog) OpenStream(o StreamOptions) (*Stream, error) {
	d.mu.Lock()
	err := d.openStream(o)
	d.mu.Unlock()
	if err != nil {
		return nil, d.say(err)
	}
	d.mustEnd()
	return &Stream{d}, nil
}

// openStream opens this end. The caller holds mu.
func (d *Dialog) openStream(o StreamOptions) error {
	if err := d.mayOpen(); err != nil {
		return err
	}
	if !d.fresh {
		d.attach(o)
	} else if (o != StreamOptions{}) {
		return errOptionsTwice
	}
	d.fresh = false
	return nil
}

func (d *Dialog) notStarted() error {
	return fmt.Errorf("%w: the handler of %q must call Started first", fault.ErrNotStarted, d.endpoint)
}

// mayOpen is why this end must not be opened now; nil if it may. If the callee has failed by
// itself, the messages that it sent before are still to be read.
func (d *Dialog) mayOpen() error {
	switch {
	case d.state.Phase == Starting:
		return d.notStarted()
	case d.in.attached && !d.fresh || d.in.deaf:
		return fault.ErrStreamClosed
	case d.cause != nil && (!d.done || !d.cause.byPeer || d.cause.cancel):
		return errMustEnd
	case d.asked && !d.done:
		return &fault.ContextCancelled{Canceller: d.Self()}
	}
	return nil
}

// errOptionsTwice tells an author that options given to OpenStream could have no effect any more:
// the peer has been told of the others.
var errOptionsTwice = errors.New("the options of a stream that is open from the start are those of its context")

// Receive says how a callee receives. Its task calls it before anybody can call Started. Window is
// what a Request's is, and so is reads: the end is open as soon as the context has started.
func (d *Dialog) Receive(w Window, reads *StreamOptions) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.in.want, d.reads = w, reads
}

// receive sets up the account of this end just before its window is announced: a
// callee that waits for its turn or its arguments borrows nothing. What Start or Started says must
// be the account's very numbers.
func (d *Dialog) receive(w Window, reads *StreamOptions) {
	d.in.close()
	d.in = newInflow(w.or(d.table.cfg.Window), &d.table.quota)
	if reads != nil && d.kind == Context {
		d.in.open(reads.Window, reads.overflow(), reads.AllowOverruns)
		d.fresh = true
	}
}

// SourceStream is this side's end of a one-way stream, which is open from the
// start: the callee sends, the opener receives.
func (d *Dialog) SourceStream() *Stream { return &Stream{d} }

// Send gives one message to the peer. It blocks while the peer has no room, and
// returns on room, on ctx, on the end of the context; it is nil, and the message
// is dropped, once the peer has ended well or does not read any more.
// A payload of more than link.Copied bytes belongs to the link then.
func (s *Stream) Send(ctx context.Context, payload []byte) error {
	return s.d.say(s.d.yield(ctx, message{payload: payload}))
}

// SendBuffer is Send of what is in a buffer, which is given away.
func (s *Stream) SendBuffer(ctx context.Context, b *wire.Buffer) error {
	return s.d.say(s.d.yield(ctx, message{b.Bytes(), b}))
}

// message is what a stream carries, on its way out.
type message struct {
	payload []byte
	owner   *wire.Buffer // where it lies; nil if that is nobody's
}

// Recv returns the next message, io.EOF after the last, or why the context failed
// once everything sent before has been received. A Recv whose ctx ends loses no
// message. The payload is the caller's, who may free it (wire.FreePayload).
func (s *Stream) Recv(ctx context.Context) ([]byte, error) {
	payload, err := s.d.recv(ctx)
	return payload, s.d.say(err)
}

// Next is Recv of a message that has come already; ok is false if there is none.
func (s *Stream) Next() (payload []byte, ok bool) { return s.d.recvNow() }

// Waiting is how many messages have come, or one less than the window has if that is fewer: so
// many can be taken with the one that was taken before, as a window full of messages. More have
// come only to an end that keeps overruns.
func (s *Stream) Waiting() int {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return min(len(s.d.in.queue), s.d.in.window.Messages-1)
}

// Credit is how many messages may be sent before the sender waits.
func (s *Stream) Credit() int {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return s.d.credit()
}

// CloseSend tells the peer that no more messages come. Receiving goes on.
func (s *Stream) CloseSend() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.stop(false)
}

// Close leaves the stream: no more messages go out, none are read. The peer can
// go on sending; what it sends is dropped.
func (s *Stream) Close() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.stop(true)
}

// yield sends one message. The usual case, that there is room, takes the lock once and makes no
// closure; this is the path of every message.
func (d *Dialog) yield(ctx context.Context, m message) error {
	if err := d.checkSize(len(m.payload)); err != nil {
		return err
	}
	d.mu.Lock()
	now, err := d.trySend(m)
	d.mu.Unlock()
	switch now {
	case sendIt, dropIt:
		return err
	}
	return d.yieldWaiting(ctx, m, now)
}

// yieldWaiting sends a message for which there was no room. found is what yield was told: after
// probeIt the message has gone already, and only the receiver's verdict is awaited. The verdict
// is good once the receiver opens its end or stops to read, and bad when the dialog fails.
func (d *Dialog) yieldWaiting(ctx context.Context, m message, found permit) error {
	var err error
	probing := found == probeIt
	d.table.counters.waits.Add(1)
	d.table.counters.held.Add(1)
	defer d.table.counters.held.Add(-1)
	d.waiting(&d.in.senders, 1)
	defer d.waiting(&d.in.senders, -1)
	waitErr := d.await(ctx, func() bool {
		if probing {
			if err = d.over(); err == nil && d.ended() {
				err = fault.ErrStreamClosed
			}
			return err != nil || d.out.attached || d.out.deaf || d.done
		}
		var now permit
		now, err = d.trySend(m)
		if now != probeIt && now != waitForIt {
			return true
		}
		probing = now == probeIt
		return false
	})
	if waitErr != nil {
		return waitErr
	}
	return err
}

// over is why nothing can be sent any more; nil while all is well. Until the outcome is known
// that is why this side must end; from then on it is the outcome, which may say more.
func (d *Dialog) over() error {
	switch {
	case d.done && d.end.failed(d.kind):
		return errHasEnded
	case !d.done && d.cause != nil:
		return errMustEnd
	}
	return nil
}

// ended reports whether this end sends no more: it was closed, or its task is over.
func (d *Dialog) ended() bool { return d.out.stopped || d.state.Phase == Over }

// trySend sends the message if the account allows. The connection is asked before the account,
// because ask books the message as sent. It is asked also for messages that have credit:
// thousands of dialogs with 4 MiB of credit each must not fill the outbox.
func (d *Dialog) trySend(m message) (permit, error) {
	switch err := d.over(); {
	case err != nil:
		return dropIt, err
	case d.state.Phase == Starting:
		return dropIt, d.notStarted()
	case d.ended():
		return dropIt, fault.ErrStreamClosed
	case d.done:
		return dropIt, nil // the callee has returned: nobody reads any more
	}
	if !d.out.deaf && d.table.congested(d, link.Data) {
		if d.out.overflow != wire.Overflow_OVERFLOW_WAIT {
			d.warnOnce(warnCongested)
		}
		return waitForIt, nil
	}
	now := d.out.ask(len(m.payload))
	switch {
	case now == waitForIt:
		d.warnOnce(warnFull)
	case now == sendIt && !d.out.attached:
		d.warnOnce(warnUnopened)
	}
	if now == sendIt || now == probeIt {
		d.table.counters.messagesOut.Add(1)
		d.span.Sent(len(m.payload))
		d.sendOwned(link.Data, &wire.Frame{Kind: wire.Kind_KIND_YIELD, Payload: m.payload, Probe: now == probeIt}, m.owner)
	}
	return now, nil
}

// recv takes the next message. The usual case, that one is there, makes no closure.
func (d *Dialog) recv(ctx context.Context) (payload []byte, err error) {
	if payload, ok := d.recvNow(); ok {
		return payload, nil
	}
	return d.recvWaiting(ctx)
}

// recvNow takes a message that has come already; ok is false if there is none.
func (d *Dialog) recvNow() (payload []byte, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next()
}

// next takes a message that has come, and lets the sender go on.
func (d *Dialog) next() (payload []byte, ok bool) {
	payload, credit, ok := d.in.take()
	if ok {
		d.span.Received(len(payload))
	}
	d.grant(credit)
	return payload, ok
}

// recvWaiting takes the next message, which has not come yet. A message that is there wins over
// any end, and an end over the caller's ctx, so that none is lost when they come together.
func (d *Dialog) recvWaiting(ctx context.Context) (payload []byte, err error) {
	d.waiting(&d.in.receivers, 1)
	defer d.waiting(&d.in.receivers, -1)
	// tail: a failure has overtaken messages that were sent before it. Their number is known,
	// so they are awaited, unless they can no longer come or would not be kept.
	tail := false
	ready := func() bool {
		var ok bool
		if payload, ok = d.next(); ok {
			err = nil
			return true
		}
		err = d.exhausted()
		tail = d.in.limited && !d.in.ended() && !d.in.deaf && !d.in.broken && !d.state.Cut
		return err != nil && !tail
	}
	waitErr := d.await(ctx, ready)
	if waitErr != nil && d.look(ready) {
		waitErr = nil // ctx and the message, or the end, came together
	}
	if waitErr != nil && tail && waitErr == context.Cause(d.ctx) { //nolint:errorlint // identity is meant
		// The context's own failure has cancelled ctx; what was sent before is
		// still on its way. An opener waits no longer than whoever opens.
		if d.await(d.outer, ready) == nil || err != nil {
			return payload, err
		}
	}
	if waitErr != nil {
		return nil, waitErr
	}
	return payload, err
}

// exhausted is what Recv reports on an empty buffer; nil means wait. Why this side must end
// comes before the outcome, which is the same failure seen later.
func (d *Dialog) exhausted() error {
	switch {
	case d.in.deaf:
		return d.orClosed()
	case d.cause != nil:
		return errMustEnd
	case d.done && d.end.failed(d.kind):
		return errHasEnded
	case d.in.stopped || d.done:
		return io.EOF
	}
	return nil
}

// orClosed is what a closed end reports: why the task must end, if it was told to, which says
// more than that the end is closed.
func (d *Dialog) orClosed() error {
	if d.cause != nil {
		return errMustEnd
	}
	return fault.ErrStreamClosed
}

// grant sends credit, if there is any and the peer may still use it: after its Stop or its
// ending it sends nothing, and credit would only be a late frame.
func (d *Dialog) grant(credit *wire.Window) {
	if credit != nil && !d.done && d.state.Phase != Over && !d.in.stopped {
		d.send(link.Control, &wire.Frame{Kind: wire.Kind_KIND_CREDIT, Credit: credit, Window: d.in.window.wire()})
	}
}
