package contract

import (
	"context"
	"iter"
	"reflect"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// SourceEndpoint is a one-way stream from the callee to the caller, made by [Source]. It is
// a plain value that any number of goroutines may use.
type SourceEndpoint[Args, Message any] struct {
	sig     *signature
	options *ContextOptions // of which the window counts
}

// Source declares an endpoint that answers with a stream of messages. About the name see
// [Func].
func Source[Args, Message any](name string) SourceEndpoint[Args, Message] {
	return SourceEndpoint[Args, Message]{describe(name, dialog.Source,
		part{arguments, reflect.TypeFor[Args]()}, part{message, reflect.TypeFor[Message]()}), &ContextOptions{}}
}

// With returns the endpoint for a caller whose receive buffer is w.
func (e SourceEndpoint[Args, Message]) With(w Window) SourceEndpoint[Args, Message] {
	e.options = &ContextOptions{StreamOptions: StreamOptions{Window: w}}
	return e
}

// Name is the endpoint's name.
func (e SourceEndpoint[Args, Message]) Name() string { return e.sig.name }

// Handle makes f the code that serves the endpoint: each value of the sequence is
// a message, the first error ends it. f need not know that it is streamed: it waits in yield
// while the consumer's buffer is full, and yield returns false when the consumer has stopped.
func (e SourceEndpoint[Args, Message]) Handle(f func(ctx context.Context, args Args) iter.Seq2[Message, error]) Handler {
	return e.sig.handler(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		args, err := decode[Args](e.sig, d.Request().Codec, arguments, d.Args())
		if err != nil {
			return nil, err
		}
		s := &Stream[Message, struct{}]{sig: e.sig, codec: d.Request().Codec, out: message, d: d, raw: d.SourceStream()}
		for m, err := range f(ctx, args) {
			if err == nil {
				err = s.Send(ctx, m)
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, context.Cause(ctx) // a producer that was told to stop may just stop
	})
}

// Stream ranges over what the endpoint in the portal's actor produces. There is at
// most one error, one of those of [FuncEndpoint.Call], and it comes last. Leaving the loop,
// also by a panic, ends the producer before the statement after the loop runs.
func (e SourceEndpoint[Args, Message]) Stream(ctx context.Context, p Portal, args Args) iter.Seq2[Message, error] {
	return e.consume(ctx, p, args, (*Stream[struct{}, Message]).All)
}

// Borrow is Stream for messages that are not kept: see [Stream.Borrow].
func (e SourceEndpoint[Args, Message]) Borrow(ctx context.Context, p Portal, args Args) iter.Seq2[Message, error] {
	return e.consume(ctx, p, args, (*Stream[struct{}, Message]).Borrow)
}

// consume is the loop over what messages gives of the endpoint's stream.
func (e SourceEndpoint[Args, Message]) consume(ctx context.Context, p Portal, args Args,
	messages func(*Stream[struct{}, Message], context.Context) iter.Seq2[Message, error],
) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		stopped := false
		err := scope(ctx, e.sig, p, args, e.options, func(ctx context.Context, d *dialog.Dialog) error {
			s := &Stream[struct{}, Message]{sig: e.sig, codec: e.sig.codec, in: message, d: d, raw: d.SourceStream()}
			for m, err := range messages(s, ctx) {
				if err != nil {
					return err
				}
				if stopped = !yield(m, nil); stopped {
					return d.Cancel(ctx, "the consumer has stopped")
				}
			}
			_, err := d.Wait(ctx)
			return err
		})
		if err != nil && !stopped {
			var none Message
			yield(none, err)
		}
	}
}
