package dialog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Request is what an opener asks for. It stays the caller's. Its Args do not if they lie in an
// Owner, or have more than link.Copied bytes: the link sends them from where they are.
type Request struct {
	Endpoint    string
	Kind        Kind
	Fingerprint uint64 // of the endpoint's types; 0 if the opener does not know them
	Codec       string
	Args        []byte
	Owner       *wire.Buffer // what Args lies in, which is given away; nil if that is nobody's
	Metadata    map[string]string
	Window      Window // this side's receive buffer; zero fields mean the table's
	// Reads opens this side's end of a Context's stream together with the context: its
	// peer sends as to any open end. OpenStream then gives that end. Nil: it is not open.
	Reads *StreamOptions
	// Impatient has Call end when its ctx does, and cut the dialog: for a callee that may hang, and of which nothing is
	// left to be waited for but its answer.
	Impatient bool
	// Unbegun is what Call finds out: that the callee has certainly not begun.
	Unbegun bool

	target *wire.Address     // whom the peer relays it to (Target)
	within trace.SpanContext // the span that its caller is in
}

// mostTexts bounds the endpoint's name and the metadata of a request, in bytes. They travel in
// one frame, the Start, which is never cut into pieces and must stay far below wire.MaxFrame.
const mostTexts = 1 << 20

// checkTexts refuses what could not be encoded, or what the peer would refuse to read. Either
// would end the whole link, with all its dialogs, where only this request is wrong. A trace context is ASCII, and short.
func (r *Request) checkTexts() error {
	size := 0
	for _, text := range [...]string{r.Endpoint, r.Codec} {
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

// Call runs an endpoint and returns its value. When ctx ends, the remote task is told so, and
// Call returns when that has ended. A Func has no ctx of its own: Call watches its caller's and
// needs neither a goroutine nor an AfterFunc, which is why it is not a Scope.
func (t *Table) Call(ctx context.Context, r *Request) ([]byte, error) {
	d, err := t.Open(ctx, r)
	if r.Unbegun = err != nil; r.Unbegun {
		return nil, err
	}
	defer d.answered()
	d.lead((*Dialog).hasEnded)
	if cause := d.await(ctx, func() bool { return d.done }); cause != nil {
		d.event(DoAbort, d.because(cause))
		if r.Impatient {
			d.cut()
		}
		d.drain()
	}
	d.event(DoSucceed, note{})
	value, err := d.result()
	d.traced(err)
	r.Unbegun = d.Refused()
	return value, err
}

// Refused reports of a dialog that has ended whether the callee has refused it, and certainly
// not begun.
func (d *Dialog) Refused() bool { return d.end.refused }

// CallRuntime calls an endpoint below RuntimePrefix. It works on a table that refuses new dialogs,
// too: a host that lets nothing more begin still has to ask its plugin to end.
func (t *Table) CallRuntime(ctx context.Context, endpoint string, args []byte) ([]byte, error) {
	return t.Call(ctx, &Request{Endpoint: endpoint, Kind: Func, Codec: codecs.CBOR.Name(), Args: args})
}

// AskRuntime is CallRuntime for a question, whose callee may hang: its end is not waited for, but only its answer, and
// that for as long as ctx lives.
func (t *Table) AskRuntime(ctx context.Context, endpoint string, args []byte) ([]byte, error) {
	return t.Call(ctx, &Request{Endpoint: endpoint, Kind: Func, Codec: codecs.CBOR.Name(), Args: args, Impatient: true})
}

// Scope runs body with a dialog that [Table.Open] has opened, and returns when the task on the
// other side has ended. For a Context, body begins when the callee has called Started; it does
// not run if the dialog ends before that.
//
// It returns body's failure; or the callee's; both joined if they are two; nil if
// the callee only reports a Cancel that was asked for on this dialog. A panic of
// body goes on as a panic once the callee has ended.
//
// Scope waits for as long as the dialog lives, so that what opening needs is not on its stack.
func (d *Dialog) Scope(body func(ctx context.Context, d *Dialog) error) (err error) {
	d.lead((*Dialog).settled)
	d.answered()
	unfollow := d.follow(d.outer)
	defer func() {
		d.leaveScope(unfollow)
		err = d.verdict(err)
	}()
	if d.opened() {
		err = fault.ErrGoexit
		err = d.bodyEnded(panics.Catch(func() error { return body(d.ctx, d) }))
	}
	d.drain()
	return err
}

// leaveScope is the end of a scope, however that has come about: it is deferred for a body that calls
// runtime.Goexit, which the callee has not been told of then.
func (d *Dialog) leaveScope(unfollow func() bool) {
	d.leave()
	d.drain()
	d.release()
	d.unfollow(unfollow)
}

// Open registers a dialog and sends its Start. [Dialog.Scope] or ScopeIn must follow at once,
// or nobody ends it, and nobody may read the link. What can be refused is refused before the
// Start goes out, so that no dialog has to be ended which the peer has never heard of. A
// Func's ctx is its caller's; the others get one that the runtime can cancel with a reason.
func (t *Table) Open(ctx context.Context, r *Request) (*Dialog, error) {
	aboutToWait(ctx)
	d := &Dialog{outlet: outlet{table: t}, kind: r.Kind, endpoint: r.Endpoint, far: r.target, outer: ctx, ctx: ctx}
	d.trace(r)
	d.born = momentOf(d.span.Began())
	if err := d.open(r); err != nil {
		d.traced(err)
		return nil, err
	}
	return d, nil
}

func (d *Dialog) open(r *Request) error {
	ctx := d.outer
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.deadline, _ = ctx.Deadline()
	if err := d.checkSize(len(r.Args)); err != nil {
		return err
	}
	if err := r.checkTexts(); err != nil {
		return err
	}
	if r.Kind != Func {
		d.flows = &flows{}
		d.receive(r.Window, r.Reads)
		d.in.attached = d.in.attached || r.Kind == Source
		d.ctx, d.cancel = context.WithCancelCause(d.span.In(ctx))
	}
	if r.Kind != Context {
		d.state.Phase = Open
	}
	d.expect(ctx)
	if err := d.ask(func() error { return d.enter(r) }); err != nil {
		d.answered()
		d.close()
		if d.cancel != nil {
			d.cancel(nil)
		}
		return err
	}
	return nil
}

// enter enters the dialog into the table, and sends its Start before anything else: mu is held,
// so nobody can send for it in between. Large arguments follow with the data, so that a Cancel
// can pass them, while the Start itself stays control and is never overtaken. The buffer of the
// arguments is the link's, or freed, only on success; after an error it is still the caller's.
func (d *Dialog) enter(r *Request) error {
	start := blankStarts.Get().(*wire.Start) //nolint:forcetypeassert // nothing else is put there
	defer func() { start.Reset(); blankStarts.Put(start) }()
	d.describe(r, start)
	f := &wire.Frame{Kind: wire.Kind_KIND_START, Start: start}
	d.mu.Lock()
	defer d.mu.Unlock()
	large := len(r.Args) > smallPayload
	if large {
		f.Start.Arguments = uint64(len(r.Args))
	} else {
		f.Payload = r.Args
	}
	if err := d.table.add(d, f); err != nil {
		return err
	}
	if large {
		d.sendOwned(link.Data, &wire.Frame{Kind: wire.Kind_KIND_ARGUMENTS, Payload: r.Args}, r.Owner)
	} else {
		r.Owner.Free() // the link has copied it
	}
	return nil
}

// blankStarts are to be filled in. Each belongs to one call of enter, since the link has encoded it
// when Send returns.
var blankStarts = sync.Pool{New: func() any { return new(wire.Start) }}

// describe fills in the Start of a request, without its arguments. A Func has no stream, so it
// announces no window.
func (d *Dialog) describe(r *Request, s *wire.Start) {
	s.Endpoint, s.Kind, s.Fingerprint, s.Codec, s.Target = r.Endpoint, r.Kind, r.Fingerprint, r.Codec, r.target
	s.Timeout, s.Metadata = timeLeft(d.deadline), r.Metadata
	d.span.Write(s, r.within)
	if r.Kind != Func {
		s.Window = d.in.window.wire()
		s.Attached, s.Overflow = d.fresh, d.in.overflow
	}
}

// follow makes the end of ctx the end of the dialog, until unfollow. It is not left to d.ctx,
// which derives from ctx and ends with it, because the callee has to be told as well.
func (d *Dialog) follow(ctx context.Context) (stop func() bool) {
	d.following.Add(1)
	return context.AfterFunc(ctx, func() {
		defer d.following.Done()
		d.event(DoAbort, d.because(context.Cause(ctx)))
	})
}

// unfollow undoes follow. If the callback has begun it waits for it, so that nothing of a scope
// runs any more when that returns.
func (d *Dialog) unfollow(stop func() bool) {
	if !stop() {
		d.following.Wait()
	}
}

// opened waits for the callee's Started, and reports false if it will not come. A callee may
// have started and ended by the time that this looks; the body runs then too, with what the
// callee has said and sent. running is what the time for opening the stream counts from.
func (d *Dialog) opened() (began bool) {
	_ = d.await(context.Background(), func() bool { // that ctx never ends
		if began = d.kind != Context || d.began; began && !d.running { // even if the callee has ended since
			d.running = true
			d.wake()
		}
		return d.settled()
	})
	return began
}

// hasEnded reports whether it is known how the dialog ended. The caller holds mu.
func (d *Dialog) hasEnded() bool { return d.done }

// settled reports whether it is known if the body of an opener runs. The caller holds mu.
func (d *Dialog) settled() bool {
	return d.kind != Context || d.began || d.done || d.state.Phase != Opening
}

// bodyEnded tells the peer how the opener's task ended, and gives what it failed with. Other
// tasks of this side (Go) are told of a failure and waited for first. A probe that still waits
// is judged before the stream is stopped, which would hide that this end was never opened.
func (d *Dialog) bodyEnded(err error) error {
	n := d.failed(d.failureOf(err))
	err = d.join(n, err)
	failure := d.failureOf(err)
	if n.err == nil { // else the peer has been told of it, and a later failure changes nothing
		n = d.failed(failure)
	}
	d.expect(nil)                                            //nolint:staticcheck // a nil ctx does not end
	_ = d.ask(func() error { return d.tellEnd(n, failure) }) // if that is not nil, there is nothing to wait for
	d.lead((*Dialog).hasEnded)
	d.answered()
	return err
}

// tellEnd is the part of bodyEnded that the peer hears. It fails if the callee has ended already.
func (d *Dialog) tellEnd(n note, failure error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if failure == nil {
		d.judgeProbe(true) // what waits for this end to be opened
	}
	if d.kind != Func {
		d.stop(true)
	}
	if failure == nil {
		d.apply(DoSucceed, note{})
	} else {
		d.apply(DoFail, n)
	}
	if d.done {
		return errHasEnded
	}
	return nil
}

// failureOf is what a body has failed with that returned err: nothing if it only did
// what our own Cancel wanted.
func (d *Dialog) failureOf(err error) error {
	return d.endingOf(err).Failure()
}

// timeLeft is what goes into Start for a deadline, in nanoseconds; 0 says that there is none, so
// one that has passed is sent as 1.
func timeLeft(deadline time.Time) int64 {
	if deadline.IsZero() {
		return 0
	}
	return max(1, int64(time.Until(deadline)))
}
