package dialog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/link"
	"github.com/seed-2ba35074/trellis/shared/wire"
)

// Request is what an opener asks for.
type Request struct {
	Endpoint    string
	Kind        Kind
	Fingerprint uint64 // of the endpoint's types; 0 if the opener does not know them
	Codec       string
	Args        []byte
	Owner       *wire.Buffer // what Args lies in, which is given away; nil if that is nobody's
	Metadata    map[string]string
	TraceParent string // W3C trace context
	TraceState  string
	Window      Window // this side's receive buffer; zero fields mean the table's
}

// mostTexts bounds the endpoint's name and the metadata of a request, in bytes.
const mostTexts = 1 << 20

// checkTexts refuses what could not be sent, or not be received: it would cost the link.
func (r *Request) checkTexts() error {
	size := 0
	for _, text := range [...]string{r.Endpoint, r.Codec, r.TraceParent, r.TraceState} {
		if err := checkText(text, &size); err != nil {
			return err
		}
	}
	for key, value := range r.Metadata {
		if err := errors.Join(checkText(key, &size), checkText(value, &size)); err != nil {
			return err
		}
	}
	if len(r.Metadata) > wire.MostMetadata || size > mostTexts {
		return fmt.Errorf("a request has %d entries of metadata, and %d bytes of texts with its endpoint's name; the limits are %d and %d: send what is large as an argument",
			len(r.Metadata), size, wire.MostMetadata, mostTexts)
	}
	return nil
}

func checkText(text string, size *int) error {
	*size += len(text)
	if !utf8.ValidString(text) {
		return fmt.Errorf("endpoint names and metadata must be UTF-8, got %q", text)
	}
	return nil
}

// Call runs an endpoint and returns its value. When ctx ends, the remote task is
// told so, and Call returns when it has ended.
func (t *Table) Call(ctx context.Context, r *Request) ([]byte, error) {
	d, err := t.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	if cause := d.await(ctx, func() bool { return d.done }); cause != nil {
		d.event(DoAbort, note{err: cause})
		d.drain()
	}
	d.event(DoSucceed, note{})
	return d.result, d.outcome
}

// CallRuntime calls an endpoint below RuntimePrefix. It works on a table that
// refuses new dialogs, too.
func (t *Table) CallRuntime(ctx context.Context, endpoint string, args []byte) ([]byte, error) {
	return t.Call(ctx, &Request{Endpoint: endpoint, Kind: Func, Codec: wire.CBOR.Name(), Args: args})
}

// Scope opens a dialog, runs body with it, and returns when the task on the other
// side has ended. For a Context, body begins when the callee has called Started.
//
// It returns body's failure; or the callee's; both joined if they are two; nil if
// the callee only reports a Cancel that was asked for on this dialog. A panic of
// body goes on as a panic once the callee has ended.
func (t *Table) Scope(ctx context.Context, r *Request, body func(ctx context.Context, d *Dialog) error) error {
	d, err := t.begin(ctx, r)
	if err != nil {
		return err
	}
	defer d.unfollow(d.follow(ctx))
	defer d.cancel(nil)
	defer d.abandon()
	if d.opened() {
		err = fault.Catch(func() error { return body(d.ctx, d) })
		d.bodyEnded(err)
	}
	d.drain()
	d.cancel(nil)
	return d.verdictOf(err)
}

// abandon is leave for the opener, who then waits for the callee.
func (d *Dialog) abandon() {
	d.leave()
	d.drain()
}

// begin registers the dialog and sends its Start.
func (t *Table) begin(ctx context.Context, r *Request) (*Dialog, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	d := &Dialog{table: t, kind: r.Kind, endpoint: r.Endpoint, outer: ctx, ctx: ctx}
	if err := d.checkSize(len(r.Args)); err != nil {
		return nil, err
	}
	if err := r.checkTexts(); err != nil {
		return nil, err
	}
	d.in = newInflow(r.Window.or(t.cfg.Window))
	d.in.attached = r.Kind == Source
	if r.Kind != Func {
		d.ctx, d.cancel = context.WithCancelCause(ctx)
	}
	if r.Kind != Context {
		d.state.Phase = Open
	}
	if err := d.enter(ctx, r); err != nil {
		if d.cancel != nil {
			d.cancel(nil)
		}
		return nil, err
	}
	return d, nil
}

// enter enters the dialog into the table, and sends its Start before anything else.
func (d *Dialog) enter(ctx context.Context, r *Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.table.add(d)
	if err == nil {
		d.sendStart(ctx, r)
	}
	return err
}

// sendStart puts the Start out. Its lane does not order what follows: a Cancel
// that overtakes a large Start is waited with at the other end.
func (d *Dialog) sendStart(ctx context.Context, r *Request) {
	lane := link.Control
	if len(r.Args) > smallPayload {
		lane = link.Data
	}
	s := &wire.Start{
		Endpoint: r.Endpoint, Kind: r.Kind, Fingerprint: r.Fingerprint, Codec: r.Codec,
		Timeout: timeLeft(ctx), Metadata: r.Metadata,
		Traceparent: r.TraceParent, Tracestate: r.TraceState,
	}
	if r.Kind != Func {
		s.Window = d.in.window.wire()
	}
	d.table.link.SendOwned(lane, &wire.Frame{Dialog: d.id, Kind: wire.Kind_KIND_START, Start: s, Payload: r.Args}, r.Owner)
}

// follow makes the end of ctx the end of the dialog, until unfollow.
func (d *Dialog) follow(ctx context.Context) (stop func() bool) {
	d.following.Add(1)
	return context.AfterFunc(ctx, func() {
		defer d.following.Done()
		d.event(DoAbort, note{err: context.Cause(ctx)})
	})
}

// unfollow undoes follow, and waits if what that does is happening.
func (d *Dialog) unfollow(stop func() bool) {
	if !stop() {
		d.following.Wait()
	}
}

// opened waits for the callee's Started, and reports false if it will not come.
func (d *Dialog) opened() (began bool) {
	_ = d.await(context.Background(), func() bool { // that ctx never ends
		began = d.kind != Context || d.began // even if the callee has ended since
		return began || d.done || d.state.Phase != Opening
	})
	return began
}

// bodyEnded tells the peer how the opener's task ended.
func (d *Dialog) bodyEnded(err error) {
	failure := fault.Settle(err, causeOf(d.ctx))
	if d.obeyed(err) {
		failure = nil // it only did what our own Cancel wanted
	}
	d.join(failure)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kind != Func {
		d.stop(true)
	}
	if failure != nil {
		d.apply(DoFail, note{err: failure})
	} else {
		d.apply(DoSucceed, note{})
	}
}

// obeyed reports whether err only says that Cancel was called on this dialog.
func (d *Dialog) obeyed(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return err != nil && d.asked && fault.Echoes(err, causeOf(d.ctx))
}

// causeOf is why a ctx has ended, nil while it has not.
func causeOf(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.Reason(ctx, context.Cause(ctx))
}

// reason is why this side's task was told to end, as the rules of package fault
// take it.
func (d *Dialog) reason() error { return fault.Reason(d.ctx, d.cause) }

// verdictOf decides what the scope returns, once both sides have ended.
func (d *Dialog) verdictOf(body error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	fault.Rethrow(body)
	v := verdict{body: body, cause: d.cause, reason: d.reason(), remote: d.outcome, absorbed: d.absorbs()}
	if also := fault.Also(d.remote); d.outcome == d.cause && !fault.Echoes(also, v.reason) { //nolint:errorlint // identity is meant
		v.also = also
	}
	return v.decide()
}

// absorbs reports whether the callee's ending is nothing but the answer to Cancel
// on this very dialog: asked for here, answered by the peer, naming us; or a value
// that was faster.
func (d *Dialog) absorbs() bool {
	if !d.asked || d.told != nil || d.outcome == nil {
		return d.asked && d.told == nil && d.done
	}
	remote, ok := d.outcome.(*fault.RemoteError) //nolint:errorlint // the ending itself
	c, named := fault.Cancelled(d.outcome)
	return ok && remote.Origin.Is(d.Peer()) && named && c.Canceller.Is(d.Self()) && fault.IsCancel(d.outcome)
}

// Cancelled reports, after the scope, whether it ended because Cancel was called
// on it and nothing else went wrong.
func (d *Dialog) Cancelled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.absorbs() && d.outcome != nil
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
	if v.remote == nil || v.remote == first || fault.Holds(first, v.remote) || fault.IsCancel(v.remote) || isLoss(v.remote) { //nolint:errorlint // identity is meant
		return nil
	}
	if remote, ok := v.remote.(*fault.RemoteError); ok && first != nil && fault.Holds(remote, first) { //nolint:errorlint // the ending itself
		return nil
	}
	return v.remote
}

// isLoss reports an end of the link: beside another failure it is no news, for
// whoever owns the actor reports it.
func isLoss(err error) bool {
	_, died := errors.AsType[*fault.ActorDied](err)
	_, lost := errors.AsType[*fault.LinkLost](err)
	return died || lost
}

// timeLeft is what goes into Start for a ctx's deadline, in nanoseconds.
func timeLeft(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, int64(time.Until(deadline)))
}
