package dialog

import (
	"context"
	"errors"
	"time"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What a failure means (whose it is, whether it is the echo of another one) is asked
// of methods that errors' authors have written: Is, Unwrap, UnmarshalCBOR. So the
// state machine and the reader only keep what happened, under the lock. Whoever looks
// has it judged by [fault.Ending], on a goroutine that nobody else depends on.

// reason is why a side's task was told to end, or what it ended with. Once it is the cause of
// a dialog nothing but pack changes it, under the dialog's mu.
type reason struct {
	err error
	// record is err as it goes over the wire. Packing calls methods of the error's author,
	// so an error that may be an author's comes packed. For the runtime's own errors record
	// is nil until they are sent.
	record *wire.Fault
	byPeer bool // the peer reported it
	cancel bool // the peer reported it, and it says nothing but that somebody wanted the end
}

// pack returns the record. It is kept, because packing again would give the failure another
// id, and a failure is recognised by its id when it comes back.
func (r *reason) pack(self actor.ID) *wire.Fault {
	if r.record == nil {
		r.record = fault.Pack(r.err, self)
	}
	return r.record
}

// order is what a side's task was told: that it is to end, and why. It is a copy taken under
// the dialog's lock, to be looked at without it.
type order struct {
	cause *reason         // nil: it may go on
	ctx   context.Context // that was cancelled for it; nil if none was
}

// order is what this side's task was told so far. The caller holds mu.
func (d *Dialog) order() order {
	o := order{cause: d.cause}
	if d.interrupted && d.cancel != nil { // else its ctx is somebody else's
		o.ctx = d.ctx
	}
	return o
}

// mustEnd is order for callers that hold no lock. interrupt ends a ctx in another goroutine, a
// moment after the cause is known; mustEnd waits for that. So nobody sees the failure of a
// context whose ctx still seems to run.
func (d *Dialog) mustEnd() order {
	d.mu.Lock()
	o := d.order()
	d.mu.Unlock()
	o.wait()
	return o
}

// wait returns when the ctx has ended, which it is about to.
func (o order) wait() {
	if o.ctx != nil {
		<-o.ctx.Done()
	}
}

// why is the reason for which the task was told to end, nil if it was not, and whether the
// peer has reported it. Both sides have the opener's deadline, each on a clock of its own, so
// the peer may report it while our ctx has just ended by itself. That is one failure, and our
// own object for it is the answer: the one that the task has seen as its ctx's cause.
func (o order) why() (err error, byPeer bool) { //nolint:revive // the error is the answer, and byPeer is about it
	o.wait()
	if o.cause == nil {
		return nil, false
	}
	if o.ctx != nil {
		if own := fault.EndingOf(o.ctx, o.cause.err); !own.IsCause() && own.Echo() && !fault.IsCancel(own.Body) {
			return own.Cause, false
		}
	}
	return o.cause.err, o.cause.byPeer
}

// why is the reason for which this side's task was told to end, nil if it was not.
func (d *Dialog) why() error {
	err, _ := d.mustEnd().why()
	return err
}

// endingOf is the ending of a task of this side that has returned err.
func (d *Dialog) endingOf(err error) fault.Ending {
	d.mustEnd() // its ctx may be about to end
	e := fault.EndingOf(d.ctx, err)
	e.Asked = d.look(func() bool { return d.asked })
	return e
}

// ending is how an opener's dialog ended. answer writes it once, under mu and together with
// done. It does not change any more, so whoever has seen done may read it without a lock.
type ending struct {
	order // what this side had been told by then

	by    Event // GotReturn, GotError, Timeout, Overdue or Lost
	value []byte
	err   error       // the callee's failure as it came, or why the callee's ending is not known
	told  *wire.Fault // the failure that the peer had been told: its ending may be the echo of that
	// refused is whether the callee has said that its task has not begun.
	refused bool
}

// failed reports whether there is anything to judge. The value of a Func wins over a cancel
// that crossed it: nothing but the value was wanted, and here it is. A context that had been
// told to end has failed already, and its task has seen that; a value does not undo it.
func (e *ending) failed(k Kind) bool {
	return e.err != nil || e.cause != nil && (e.by != GotReturn || k != Func)
}

// outcome is what an ending means. It is made once, and everybody gets the same error objects.
type outcome struct {
	err  error
	also error // what failed beside it in the callee's clean-up
}

// These stand for errors that are to be judged. A condition that runs under the lock must not
// judge, since that calls authors' methods; it returns one of these, and say replaces it by
// the error once the lock is free. They never leave this package.
var (
	errMustEnd  = errors.New("why this side must end")
	errHasEnded = errors.New("what the dialog has ended with")
)

// say puts the error itself in place of what stands for it.
func (d *Dialog) say(err error) error {
	if err == errMustEnd { //nolint:errorlint // it is never wrapped
		return d.why()
	}
	if err == errHasEnded { //nolint:errorlint // the same
		return d.failure().err
	}
	return err
}

// result is what a dialog that is done has ended with. It is asked without the lock, and gives
// each caller the same value or the same error.
func (d *Dialog) result() ([]byte, error) {
	if !d.end.failed(d.kind) {
		return d.end.value, nil
	}
	return nil, d.failure().err
}

// failure is what the ending of a dialog that has failed means. Several may ask at the same
// time, and judge for themselves; the first result stays, so that one ending is one error.
// No lock is held meanwhile, because the errors' own methods may take as long as they like.
func (d *Dialog) failure() *outcome {
	if d.outcome.Load() == nil {
		o := d.judge()
		d.outcome.CompareAndSwap(nil, &o)
	}
	return d.outcome.Load()
}

// judge says what an ending means. One failure is one object. A callee that was told to end
// usually reports just what it was told; then the failure is the cause that this side has
// already seen, and only what else went wrong in the callee's clean-up goes beside it. A
// callee that failed for a reason of its own is the failure itself. A deadline that has passed, which it
// has too, is none, whoever has noticed that here and ended ctx.
func (d *Dialog) judge() outcome {
	end := &d.end
	cause, byPeer := end.why()
	callee := fault.EndingOf(d.ctx, end.err)
	callee.Cause, callee.Expired = cause, callee.Expired || cause != nil && d.expired()
	if end.told != nil {
		callee.Told = end.told.Root().Id
	}
	switch {
	case end.by == Overdue:
		return outcome{err: &fault.Overdue{Cause: cause, Unacked: end.err}}
	case cause == nil:
		return outcome{err: end.err}
	case end.by != GotError || callee.Echo():
		return outcome{cause, callee.Rest()}
	case !byPeer:
		return outcome{err: end.err}
	}
	d.table.log().Warn("a failed context failed again while it ended", "peer", d.Peer().String(), "error", end.err)
	return outcome{cause, callee.Rest()}
}

// Remote is the callee's failure as it came over the wire, with its relay path;
// nil before the end, after a value, and if the link was lost.
func (d *Dialog) Remote() error {
	d.mu.Lock()
	end := d.end
	d.mu.Unlock()
	if end.by != GotError {
		return nil
	}
	end.wait()
	return end.err
}

// absorbs reports whether the callee's ending is nothing but the answer to Cancel on this
// very dialog: asked for here, answered by the peer itself and not by an actor behind it,
// naming us as the canceller; or a value that was faster. Such an ending is not a failure of
// the scope. A dialog that had failed, so that the peer was told, is not absorbed.
func (d *Dialog) absorbs() bool {
	if !d.look(func() bool { return d.asked && d.told == nil && d.done }) {
		return false
	}
	_, err := d.result()
	if err == nil {
		return true
	}
	remote, ok := err.(*fault.RemoteError) //nolint:errorlint // the ending itself
	c, named := fault.Cancelled(err)
	return ok && remote.Origin.Is(d.Peer()) && named && c.Canceller.Is(d.Self()) && fault.IsCancel(err)
}

// Cancelled reports whether the callee has ended because Cancel was called on the
// dialog, so that there is no value. It may be asked at any time.
func (d *Dialog) Cancelled() bool { return d.absorbs() && d.end.failed(d.kind) }

// verdict is what the scope returns whose function returned body, once both sides have ended.
// It goes on with a panic of the function, which was caught so that the callee ends first.
func (d *Dialog) verdict(body error) (err error) {
	err = body // of a panic
	defer func() { d.traced(err) }()
	panics.Rethrow(body)
	e := fault.EndingOf(d.ctx, body)
	own := e.Cause
	e.Cause, e.Clean = d.why(), d.absorbs()
	if e.Clean && body != nil && own != nil && !fault.IsCancel(own) {
		e.Cause, e.Clean = own, false // its ctx had failed by itself, while Cancel was answered
	}
	if d.end.failed(d.kind) {
		o := d.failure()
		e.Remote, e.Others = o.err, []error{o.also}
	}
	return e.Verdict()
}

// drain waits until the callee has ended. It waits first until the callee has been told to end,
// for as long as that takes; only then does the cancel bound begin. If the callee needs longer
// than that, it is stuck, and somebody is told, but the wait goes on. An opener with a deadline
// waits until that has passed, and a cancel bound more, and then cuts the dialog.
func (d *Dialog) drain() {
	done := func() bool { return d.done }
	if d.look(done) {
		return
	}
	ctx, stop := d.patience()
	defer stop()
	err := d.await(ctx, func() bool { return d.done || d.state.FailSent || d.asked })
	if err == nil {
		limited, stop := context.WithTimeout(ctx, d.table.cfg.CancelTimeout)
		defer stop()
		if d.await(limited, done) != nil {
			d.stick()
			err = d.await(ctx, done)
		}
	}
	if err != nil {
		d.cut()
	}
}

// patience is a ctx that ends when the opener does not wait any longer: a cancel bound after
// its deadline, or never if it has none (docs/decisions/waiting-is-not-bounded.md).
func (d *Dialog) patience() (context.Context, context.CancelFunc) {
	if d.deadline.IsZero() {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), d.deadline.Add(d.table.cfg.CancelTimeout))
}

// cut ends an opener's dialog whose deadline is over, whatever the callee does. What still
// comes for it is dropped as late, and the callee's task is remembered as stuck until its
// ending has come. The machine takes Overdue only after the task was told to end.
func (d *Dialog) cut() {
	expired := context.Cause(d.outer)
	if expired == nil {
		expired = context.DeadlineExceeded // a ctx that says when it ends, and does not
	}
	d.event(DoAbort, d.because(expired)) // in case that nobody has told the callee yet
	d.stick()
	d.event(Overdue, saying(Unacked(fault.ErrCancelUnacked, d.Peer(), d.table.cfg.CancelTimeout)))
}

// expired reports whether an opener's deadline is over by the clock. Its ctx may not have
// noticed yet: timers are late on a machine that is busy.
func (d *Dialog) expired() bool { return !d.deadline.IsZero() && !time.Now().Before(d.deadline) }
