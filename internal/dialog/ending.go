package dialog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What a failure means (whose it is, whether it is the echo of another one) is asked
// of methods that errors' authors have written: Is, Unwrap, UnmarshalCBOR. So the
// state machine and the reader only keep what happened, under the lock; whoever
// looks judges it, on a goroutine that nobody else depends on.

// reason is why a side's task was told to end, or what it ended with.
type reason struct {
	err    error
	record *wire.Fault // of an error that may be an author's; the others are packed when they are sent
	byPeer bool        // the peer reported it
}

func (r *reason) pack(self actor.ID) *wire.Fault {
	if r.record == nil {
		r.record = fault.Pack(r.err, self)
	}
	return r.record
}

// ending is how an opener's dialog ended: facts that do not change any more.
type ending struct {
	by    Event // GotReturn, GotError, Timeout, Overdue or Lost
	value []byte
	err   error       // the callee's failure as it came, or why there is none
	cause *reason     // why this side had been told to end by then
	told  *wire.Fault // what the peer had been told

	interrupted context.Context // its ctx, if that was to end; nil otherwise
}

// own is what this side's ctx had ended with.
func (e *ending) own() error { return ownEnd(e.interrupted) }

// ownEnd is what a ctx that was to end has ended with: the reason that it was given, unless
// it had ended by itself before.
func ownEnd(ctx context.Context) error {
	if ctx == nil {
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// failed reports whether there is anything to judge. A value that came wins over
// whatever was told to a Func; a context had failed already.
func (e *ending) failed(k Kind) bool {
	return e.err != nil || e.cause != nil && (e.by != GotReturn || k != Func)
}

// outcome is what an ending means.
type outcome struct{ err error }

// These stand for errors that are to be judged, in what is found out under the lock.
var (
	errToldToEnd = errors.New("what this side was told")
	errHasEnded  = errors.New("what the dialog has ended with")
)

// say puts the error itself in place of what stands for it.
func (d *Dialog) say(err error) error {
	switch {
	case fault.Identical(err, errToldToEnd):
		return d.why()
	case fault.Identical(err, errHasEnded):
		_, err = d.result()
	}
	return err
}

// result is what a dialog that is done has ended with. One ending is one error.
func (d *Dialog) result() ([]byte, error) {
	if !d.end.failed(d.kind) {
		return d.end.value, nil
	}
	if d.outcome.Load() == nil {
		d.outcome.CompareAndSwap(nil, &outcome{d.judge()})
	}
	return nil, d.outcome.Load().err
}

// judge says what an ending means. One failure is one object: what has been seen as
// cause before, or was told to the peer by us, is that and nothing new.
func (d *Dialog) judge() error {
	e := &d.end
	cause, byPeer := d.agreed(e.cause, e.own())
	switch {
	case e.by == Overdue:
		return &fault.Overdue{Cause: cause, Unacked: e.err}
	case cause == nil:
		return e.err
	case e.by == GotError && !byPeer && !d.isEcho(cause):
		return e.err
	case e.by == GotError && byPeer && !fault.Holds(e.err, cause):
		d.table.log().Warn("a failed context failed again while it ended", "peer", d.Peer().String(), "error", e.err)
	}
	return cause
}

// isEcho reports whether the peer's failure is the one that it was told, or merely
// that it was cancelled.
func (d *Dialog) isEcho(cause error) bool {
	if fault.Echoes(d.end.err, fault.Reason(d.ctx, cause)) {
		return true
	}
	remote, ok := d.end.err.(*fault.RemoteError) //nolint:errorlint // the ending itself
	return ok && d.end.told != nil && remote.ID() == d.end.told.Root().Id
}

// agreed is why a task was told to end, nil if it was not. If its ctx had ended
// before by itself, and for the same reason, it is that: a deadline that both sides
// have is one failure.
func (d *Dialog) agreed(cause *reason, own error) (why error, byPeer bool) { //nolint:revive // the error is the answer, and byPeer is about it
	switch {
	case cause == nil:
		return nil, false
	case own == nil || fault.Identical(own, cause.err) || fault.IsCancel(cause.err) || !fault.Echoes(cause.err, fault.Reason(d.ctx, own)):
		return cause.err, cause.byPeer
	}
	return own, false
}

// told gives why this side's task was told to end, and what its ctx had ended with.
func (d *Dialog) toldToEnd() (cause *reason, own error) {
	d.mu.Lock()
	cause, ctx := d.cause, d.interruptedCtx()
	d.mu.Unlock()
	return cause, ownEnd(ctx)
}

// interruptedCtx is this side's ctx if it was to end; nil otherwise, and for the opener of
// a Func, which has none of its own.
func (d *Dialog) interruptedCtx() context.Context {
	if !d.interrupted || d.cancel == nil {
		return nil
	}
	return d.ctx
}

// why is the reason for which this side's task was told to end, nil if it was not.
func (d *Dialog) why() error {
	err, _ := d.agreed(d.toldToEnd())
	return err
}

// Remote is the callee's failure as it came over the wire, with its relay path;
// nil before the end, after a value, and if the link was lost.
func (d *Dialog) Remote() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end.by != GotError {
		return nil
	}
	return d.end.err
}

// obeyed reports whether err only says that Cancel was called on this dialog.
func (d *Dialog) obeyed(err error) bool {
	return err != nil && d.look(func() bool { return d.asked }) && fault.Echoes(err, d.whyEnded())
}

// whyEnded is why this side's ctx has ended, nil while it has not.
func (d *Dialog) whyEnded() error {
	d.toldToEnd() // it may be about to
	if d.ctx.Err() == nil {
		return nil
	}
	return fault.Reason(d.ctx, context.Cause(d.ctx))
}

// absorbs reports whether the callee's ending is nothing but the answer to Cancel
// on this very dialog: asked for here, answered by the peer, naming us; or a value
// that was faster.
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

// verdictOf decides what the scope returns, once both sides have ended.
func (d *Dialog) verdictOf(body error) error {
	panics.Rethrow(body)
	_, ended := d.result()
	v := verdict{body: body, cause: d.why(), remote: ended, absorbed: d.absorbs()}
	v.reason = fault.Reason(d.ctx, v.cause)
	if also := fault.Also(d.Remote()); fault.Identical(ended, v.cause) && !fault.Echoes(also, v.reason) {
		v.also = also
	}
	if d.end.by == Overdue {
		v.cause = ended // which holds the cause
	}
	return v.decide()
}

// verdict is the pure decision about a scope that has ended on both sides.
type verdict struct {
	body     error // what the scope's function returned
	cause    error // why the dialog was told to end, nil if it was not
	reason   error // cause, for the rules of package fault
	remote   error // what the callee ended with
	also     error // what failed in the callee's clean-up after that
	absorbed bool  // remote is the answer to our own Cancel
}

func (v verdict) decide() error {
	if v.absorbed {
		if v.body == nil || fault.IsCancel(v.body) {
			return nil
		}
		return v.body
	}
	first := v.cause
	if first == nil {
		first = v.remote
	}
	switch {
	case v.body == nil:
		return prevail(first, v.second(first), v.also)
	case v.cause != nil && fault.Echoes(v.body, v.reason) && !fault.Holds(v.body, v.cause):
		return prevail(v.cause, v.second(v.cause), v.also) // it returned ctx.Err()
	}
	return prevail(v.body, v.second(v.body), v.also)
}

// prevail joins failures. One that only says that somebody wanted the end yields
// to the others.
func prevail(first error, others ...error) error {
	others = slices.DeleteFunc(others, func(err error) bool { return err == nil })
	switch {
	case len(others) == 0:
		return first
	case fault.IsCancel(first):
		return fault.Join(others...)
	}
	return fault.Join(append([]error{first}, others...)...)
}

// second is the callee's failure if it is another one than the first.
func (v verdict) second(first error) error {
	if v.remote == nil || fault.Identical(v.remote, first) || fault.Holds(first, v.remote) || fault.IsCancel(v.remote) || isLoss(v.remote) {
		return nil
	}
	if remote, ok := v.remote.(*fault.RemoteError); ok && first != nil && fault.Holds(remote, first) { //nolint:errorlint // the ending itself
		return nil
	}
	return v.remote
}

// isLoss reports an end of the link: beside another failure it adds nothing, for
// whoever owns the actor reports it.
func isLoss(err error) bool {
	_, died := errors.AsType[*fault.ActorDied](err)
	_, lost := errors.AsType[*fault.LinkLost](err)
	return died || lost
}

// drain waits until the callee has ended. If it was told to end and takes longer
// than a cancel may, it is stuck, and somebody is told. An opener with a deadline
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

// patience is a ctx that ends when the opener does not wait any longer.
func (d *Dialog) patience() (context.Context, context.CancelFunc) {
	if d.deadline.IsZero() {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), d.deadline.Add(d.table.cfg.CancelTimeout))
}

// cut ends an opener's dialog whose deadline is over, whatever the callee does.
func (d *Dialog) cut() {
	expired := context.Cause(d.outer)
	if expired == nil {
		expired = context.DeadlineExceeded // a ctx that says when it ends, and does not
	}
	d.event(DoAbort, d.because(expired)) // in case that nobody has told the callee yet
	d.stick()
	d.event(Overdue, saying(Unacked(fault.ErrCancelUnacked, d.Peer(), d.table.cfg.CancelTimeout)))
}

// expired reports whether an opener's deadline is over, though its ctx may not have
// noticed yet.
func (d *Dialog) expired() bool { return !d.deadline.IsZero() && !time.Now().Before(d.deadline) }
