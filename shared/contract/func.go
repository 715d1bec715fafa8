package contract

import (
	"context"
	"reflect"

	"github.com/seed-2ba35074/trellis/internal/dialog"
)

// FuncEndpoint is one call with one answer, made by [Func]. It is a plain value that any
// number of goroutines may use.
type FuncEndpoint[Args, Result any] struct{ sig *signature }

// Func declares an endpoint that is called once and answers once. The name must not be
// empty, nor begin with "trellis/"; it is checked where the endpoint is served.
func Func[Args, Result any](name string) FuncEndpoint[Args, Result] {
	return FuncEndpoint[Args, Result]{describe(name, dialog.Func,
		part{arguments, reflect.TypeFor[Args]()}, part{result, reflect.TypeFor[Result]()})}
}

// Name is the endpoint's name.
func (e FuncEndpoint[Args, Result]) Name() string { return e.sig.name }

// Handle makes f the code that serves the endpoint. Each call runs f as if in a goroutine of its
// own, and may block in any way. Its ctx ends when the caller's does, with the reason as cause.
// What f returns or panics with is the caller's error, as a [*fault.RemoteError].
//
// Calls of a function that has always been fast run one after the other on a shared goroutine,
// until one takes long or waits. So a function that locks its thread ([runtime.LockOSThread]), or
// changes that thread, must undo it before it returns.
func (e FuncEndpoint[Args, Result]) Handle(f func(ctx context.Context, args Args) (Result, error)) Handler {
	return e.sig.handler(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		args, err := receive[Args](e.sig, d.Request().Codec, arguments, d.Args(), true)
		if err != nil {
			return nil, err
		}
		value, err := f(ctx, args)
		if err != nil {
			return nil, err
		}
		return answer(e.sig, d, value)
	})
}

// Call runs the endpoint in the portal's actor. When ctx ends, the remote task is
// cancelled, and Call returns when that task has ended; past a deadline it waits only for
// the cancel bound (500 ms by default) and then returns a [*fault.Overdue].
//
// Errors: [*fault.RemoteError] for what the handler returned or panicked with,
// [*fault.NotExposed], [*fault.ContractError], [fault.ErrMessageTooLarge],
// [fault.ErrOverloaded]; [fault.ErrActorDown] or [fault.ErrActorClosing] if the actor takes
// no calls; what matches [fault.ErrActorLost] if the actor or the link to it is lost; or
// the cause of ctx.
func (e FuncEndpoint[Args, Result]) Call(ctx context.Context, p Portal, args Args) (Result, error) {
	r, next, err := e.call(ctx, p, args)
	for next != nil {
		r, next, err = e.call(ctx, next, args)
	}
	return r, err
}

// call is Call, which goes on with next if that is not nil: the callee has not begun, and
// there is another one.
func (e FuncEndpoint[Args, Result]) call(ctx context.Context, p Portal, args Args) (r Result, next Portal, err error) {
	payload, err := encode(e.sig, e.sig.codec, arguments, args)
	if err != nil {
		return r, nil, err
	}
	var request dialog.Request
	t, err := e.sig.request(ctx, p, payload, &request)
	if err != nil {
		return r, nil, err
	}
	answer, err := t.Call(ctx, &request)
	next = over(t.Over, request.Unbegun, err)
	if err != nil {
		return r, next, explain(e.sig, t, err)
	}
	r, err = receive[Result](e.sig, e.sig.codec, result, answer, true)
	return r, nil, from(t.Peer(), err)
}
