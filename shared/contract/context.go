package contract

import (
	"bytes"
	"context"
	"reflect"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// ContextEndpoint is a linked pair of tasks, one in each actor, with a two-way stream
// between them, made by [Context]. Started is the callee's first value, In flows to the callee,
// Out flows to the opener, Result is what the callee returns. It is a plain value that any
// number of goroutines may use.
//
// Functions that serve or open it have it in their types. Give those names beside the
// endpoint:
//
//	type (
//		TrainCallee = contract.Callee[Ready, Command, Progress]
//		TrainOpener = contract.Opener[Ready, Command, Progress, Model]
//	)
type ContextEndpoint[Args, Started, In, Out, Result any] struct {
	sig     *signature
	options *ContextOptions
}

// ContextOptions says how one side of a context receives what comes on its stream.
type ContextOptions struct {
	// StreamOptions are those of the stream, for a Stream that is asked for without any.
	// Its window is also what the peer may send before the stream is open.
	StreamOptions
	// Reading opens the stream together with the context. To the peer it is an open end
	// from the first message on, however late this side asks for its Stream: use it
	// where the stream is read in any case. It must be read, or closed, then: a peer
	// that sends waits for that.
	Reading bool
}

// With returns the endpoint for a side that receives as o says: the opener's where Open
// is called on it, the callee's where Handle is.
func (e ContextEndpoint[Args, Started, In, Out, Result]) With(o ContextOptions) ContextEndpoint[Args, Started, In, Out, Result] {
	e.options = &o
	return e
}

// reads is how a stream receives that is open from the start, nil if it is not.
func (o *ContextOptions) reads() *dialog.StreamOptions {
	if !o.Reading {
		return nil
	}
	reads := o.dialog()
	return &reads
}

// stream opens d's end of the stream.
func (o *ContextOptions) stream(d *dialog.Dialog, asked StreamOptions) (*dialog.Stream, error) {
	if (asked == StreamOptions{}) && !o.Reading {
		asked = o.StreamOptions
	}
	return d.OpenStream(asked.dialog())
}

// Context declares an endpoint that runs as a linked pair of tasks. About the name see [Func].
func Context[Args, Started, In, Out, Result any](name string) ContextEndpoint[Args, Started, In, Out, Result] {
	return ContextEndpoint[Args, Started, In, Out, Result]{describe(name, dialog.Context,
		part{arguments, reflect.TypeFor[Args]()}, part{started, reflect.TypeFor[Started]()},
		part{command, reflect.TypeFor[In]()}, part{message, reflect.TypeFor[Out]()},
		part{result, reflect.TypeFor[Result]()}), &ContextOptions{}}
}

// Name is the endpoint's name.
func (e ContextEndpoint[Args, Started, In, Out, Result]) Name() string { return e.sig.name }

// Callee is the handler's hold on its context. It belongs to the handler, and is of no use after
// that has returned. Its methods may be called from any goroutine.
type Callee[Started, In, Out any] struct {
	sig     *signature
	options *ContextOptions
	d       *dialog.Dialog
}

// Opener is the body's hold on its context. What it knows about how the context ended can
// still be asked after Open has returned. Its methods may be called from any goroutine.
type Opener[Started, In, Out, Result any] struct {
	sig     *signature
	options *ContextOptions
	d       *dialog.Dialog
	value   Started
}

// Handle makes f the code that serves the endpoint. It calls Started once, when it
// is ready; it may open its end of the stream after that; what it returns is the
// context's result. Its ctx ends when the opener fails, cancels or is gone.
//
// Where f returns at once, it runs on a shared goroutine, as calls do: what
// [FuncEndpoint.Handle] says of threads holds here, too.
func (e ContextEndpoint[Args, Started, In, Out, Result]) Handle(f func(ctx context.Context, args Args, c *Callee[Started, In, Out]) (Result, error)) Handler {
	return e.sig.handler(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		args, c, err := e.callee(d)
		if err != nil {
			return nil, err
		}
		value, err := f(ctx, args, c)
		return reply(e.sig, d, value, err)
	})
}

// callee is the part of a handler whose stack is not needed while its function runs, as begin is of scope.
func (e ContextEndpoint[Args, Started, In, Out, Result]) callee(d *dialog.Dialog) (args Args, c *Callee[Started, In, Out], err error) {
	if args, err = decode[Args](e.sig, d.Request().Codec, arguments, d.Args()); err == nil {
		d.Receive(dialog.Window(e.options.Window), e.options.reads())
	}
	return args, &Callee[Started, In, Out]{e.sig, e.options, d}, err
}

// Open opens a context in the portal's actor, runs body when the callee has called
// Started, and returns when both tasks have ended: with the callee's result, with
// body's failure or with the callee's. When body fails, panics or ctx ends, the
// callee is told so at once; when the callee fails, body's ctx is cancelled with
// its failure as cause. A body that ends well waits for the callee's result.
//
// Cancel on the context itself is not a failure: Open then returns the zero Result and
// nil. Opener.Cancelled reports whether it did, as a value that was faster wins over a
// Cancel, and may be the zero value, too.
//
// Before Started there is no Opener to cancel with: cancel ctx. Open tells the callee so
// at once, waits until its task has ended, clean-up included, and returns ctx's cause.
//
// A body that never looks at its ctx cannot be interrupted: Open waits for it.
//
// Errors: what body returned; what the callee returned or panicked with, as a
// [*fault.RemoteError]; [*fault.ContextCancelled], [*fault.StreamOverrun],
// [*fault.NotExposed], [*fault.ContractError], [fault.ErrNeverStarted]; what matches
// [fault.ErrActorLost]; or the cause of ctx. docs/who-raises-what.md says which one wins.
func (e ContextEndpoint[Args, Started, In, Out, Result]) Open(ctx context.Context, p Portal, args Args,
	body func(ctx context.Context, c *Opener[Started, In, Out, Result]) error,
) (r Result, err error) {
	var opened *Opener[Started, In, Out, Result]
	err = scope(ctx, e.sig, p, args, e.options, func(ctx context.Context, d *dialog.Dialog) (err error) {
		if opened, err = newOpener[Started, In, Out, Result](e.sig, e.options, d); err != nil {
			return err
		}
		return body(ctx, opened)
	})
	return opened.outcome(ctx, err)
}

// outcome is what a context has ended with whose scope returned err.
func (c *Opener[Started, In, Out, Result]) outcome(ctx context.Context, err error) (r Result, _ error) {
	if err != nil || c == nil {
		return r, err
	}
	if r, err = c.Wait(ctx); c.Cancelled() {
		return r, nil
	}
	return r, err
}

func newOpener[Started, In, Out, Result any](s *signature, o *ContextOptions, d *dialog.Dialog) (*Opener[Started, In, Out, Result], error) {
	value, err := decode[Started](s, s.codec, started, d.First())
	if err != nil {
		return nil, from(d.Peer(), err)
	}
	return &Opener[Started, In, Out, Result]{s, o, d, value}, nil
}

// Value is what the callee gave to Started.
func (c *Opener[Started, In, Out, Result]) Value() Started { return c.value }

// Peer is the callee's actor.
func (c *Opener[Started, In, Out, Result]) Peer() actor.ID { return c.d.Peer() }

// Stream opens this end of the stream, once, or gives the one that is open from the start
// and has its options (see ContextOptions). It waits for nothing. A second time is
// [fault.ErrStreamClosed]; on a context that has failed it is that failure.
func (c *Opener[Started, In, Out, Result]) Stream(o StreamOptions) (*Stream[In, Out], error) {
	raw, err := c.options.stream(c.d, o)
	if err != nil {
		return nil, err
	}
	return &Stream[In, Out]{sig: c.sig, codec: c.sig.codec, out: command, in: message, d: c.d, raw: raw}, nil
}

// Wait returns the callee's result or what the context failed with, when both tasks have
// ended; or the cause of ctx if that ends first, which changes nothing. It may be
// called any number of times, from anywhere, and gives the same each time.
func (c *Opener[Started, In, Out, Result]) Wait(ctx context.Context) (r Result, err error) {
	payload, err := c.d.Wait(ctx)
	if err != nil {
		return r, err
	}
	r, err = decode[Result](c.sig, c.sig.codec, result, payload)
	return r, from(c.d.Peer(), err)
}

// Go runs f as a task of the scope, which ends when all of them have; one that
// fails, panics or calls runtime.Goexit makes the scope fail with it. When the scope
// has ended, Go does nothing and reports false.
func (c *Opener[Started, In, Out, Result]) Go(f func(ctx context.Context) error) bool {
	return c.d.Go(f)
}

// Cancel asks the callee's task to end and returns when it has ended, clean-up
// included. It is shielded from the end of ctx and bounded (500 ms by default),
// past which it returns fault.ErrCancelUnacked and the context is cut. It may be
// called from any goroutine, and interrupts the scope's ctx.
func (c *Opener[Started, In, Out, Result]) Cancel(ctx context.Context, reason string) error {
	return c.d.Cancel(ctx, reason)
}

// Cancelled reports whether the callee has ended because of Cancel, so that there is no
// result. It may be asked from anywhere, and is final when Wait or Open has returned.
func (c *Opener[Started, In, Out, Result]) Cancelled() bool { return c.d.Cancelled() }

// Remote is the callee's failure as it came over the wire, with its relay path;
// nil if there was none.
func (c *Opener[Started, In, Out, Result]) Remote() error { return c.d.Remote() }

// Peer is the opener's actor.
func (c *Callee[Started, In, Out]) Peer() actor.ID { return c.d.Peer() }

// Started tells the opener that the context is open, and gives it a first value. It does not
// wait. A second time is [fault.ErrStartedTwice]; on a context that has failed it is that
// failure.
func (c *Callee[Started, In, Out]) Started(value Started) error {
	payload, err := encode(c.sig, c.d.Request().Codec, started, value)
	if err != nil {
		return err
	}
	defer payload.Free()
	return c.d.Started(bytes.Clone(payload.Bytes()))
}

// Stream opens this end of the stream, once, after Started, or gives the one that is open
// from the start and has its options (see ContextOptions). It waits for nothing. Before
// Started it is [fault.ErrNotStarted], a second time [fault.ErrStreamClosed], and on a
// context that has failed that failure.
func (c *Callee[Started, In, Out]) Stream(o StreamOptions) (*Stream[Out, In], error) {
	raw, err := c.options.stream(c.d, o)
	if err != nil {
		return nil, err
	}
	return &Stream[Out, In]{sig: c.sig, codec: c.d.Request().Codec, out: message, in: command, d: c.d, raw: raw}, nil
}

// Go runs f as a task of the handler, which ends when all of them have; one that
// fails, panics or calls runtime.Goexit makes the handler fail with it. When the
// handler has ended, Go does nothing and reports false.
func (c *Callee[Started, In, Out]) Go(f func(ctx context.Context) error) bool {
	return c.d.Go(func(ctx context.Context) error { return f(arrive(ctx, c.d)) })
}

// Cancel asks the opener's task to end and returns when it has ended, with the
// same bound as the opener's Cancel.
func (c *Callee[Started, In, Out]) Cancel(ctx context.Context, reason string) error {
	return c.d.Cancel(ctx, reason)
}
