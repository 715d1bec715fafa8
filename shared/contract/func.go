package contract

import (
	"context"
	"reflect"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// The names that errors give to the parts of an endpoint.
const (
	arguments = "arguments"
	result    = "result"
	started   = "started"
	message   = "message"
	command   = "command"
)

// FuncEndpoint is one call with one answer.
type FuncEndpoint[Args, Result any] struct{ sig *signature }

// Func declares an endpoint that is called once and answers once.
func Func[Args, Result any](name string) FuncEndpoint[Args, Result] {
	return FuncEndpoint[Args, Result]{describe(name, dialog.Func,
		part{arguments, reflect.TypeFor[Args]()}, part{result, reflect.TypeFor[Result]()})}
}

// Name is the endpoint's name.
func (e FuncEndpoint[Args, Result]) Name() string { return e.sig.name }

// Handle makes f the code that serves the endpoint. Its ctx ends when the caller's
// does, with the reason as cause.
func (e FuncEndpoint[Args, Result]) Handle(f func(ctx context.Context, args Args) (Result, error)) Handler {
	return Handler{e.sig, func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		codec := d.Request().Codec
		args, err := decodeOwned[Args](e.sig, codec, arguments, d.Args())
		if err != nil {
			return nil, err
		}
		value, err := f(ctx, args)
		if err != nil {
			return nil, err
		}
		return encode(e.sig, codec, result, value)
	}}
}

// Call runs the endpoint in the portal's actor. When ctx ends, the remote task is
// cancelled, and Call returns when it has ended.
//
// Errors: *fault.RemoteError for what the handler returned or panicked with,
// *fault.NotExposed, *fault.ContractError, *fault.ActorDied, *fault.LinkLost, or
// the cause of ctx.
func (e FuncEndpoint[Args, Result]) Call(ctx context.Context, p Portal, args Args) (r Result, err error) {
	payload, err := encodeToSend(e.sig, e.sig.codec, arguments, args)
	if err != nil {
		return r, err
	}
	answer, err := e.sig.call(ctx, p, payload)
	if err != nil {
		return r, err
	}
	return decodeOwned[Result](e.sig, e.sig.codec, result, answer)
}
