package contract

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Group owns any number of contexts, which end before it does. It is made by [OpenGroup] and
// belongs to its body; after that has returned and all contexts have ended, it is of no use. Its
// contexts need no goroutine of their own while both of their tasks hibernate.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  task.Group

	mu        sync.Mutex // guards the rest
	cancelled bool       // Cancel was called, and ctx had not ended before
	failures  []error
}

// OpenGroup runs body with a group, and returns when body and all contexts of the group have
// ended. The first failure, of body or of a context, ends the others: ctx is cancelled with
// it as cause. It is returned, and more than one as a [*fault.Group]. A panic goes on as one.
func OpenGroup(ctx context.Context, body func(ctx context.Context, g *Group) error) error {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	defer g.cancel(nil)
	defer g.tasks.Finish() // again only if body called runtime.Goexit
	panics.Attempt(func() error { return body(g.ctx, g) }, g.end)
	g.tasks.Finish()
	for _, err := range g.failures {
		panics.Rethrow(err)
	}
	return fault.Join(g.failures...)
}

// Cancel ends the contexts of the group, and body's ctx. That they were cancelled is not a
// failure. It does not wait; it may be called from anywhere. When that ctx has ended
// already, it does nothing.
func (g *Group) Cancel() {
	g.mu.Lock()
	g.cancelled = g.cancelled || g.ctx.Err() == nil
	g.mu.Unlock()
	g.cancel(context.Canceled)
}

// end takes how body or a context has ended. What only reports that the group has failed is not
// a failure, unless it is the first to say so.
func (g *Group) end(err error) {
	if err == nil {
		return
	}
	e := fault.EndingOf(g.ctx, err)
	echo, failure := e.Echo(), e.Failure()
	if _, panicked := err.(*fault.PanicError); panicked { //nolint:errorlint // what wraps one was not thrown here
		echo, failure = false, err
	}
	g.mu.Lock()
	if !echo || !g.cancelled && len(g.failures) == 0 {
		g.failures = append(g.failures, failure)
		failure = g.failures[0] // whoever had that may not have come to cancel yet
	}
	g.mu.Unlock()
	g.cancel(failure) // calls methods of the caller's ctx; for an echo, ctx has ended already
}

// Go runs f as a task of the group, whose failure is the group's. When the group has ended, Go does
// nothing and reports false.
func (g *Group) Go(f func(ctx context.Context) error) bool {
	return g.tasks.Go(func() {
		panics.Attempt(func() error { return f(g.ctx) }, g.end)
	})
}

// errGroupEnded is what OpenIn gives in a group of which nothing runs any more.
var errGroupEnded = errors.New("OpenIn in a group that has ended")

// OpenIn opens a context as a part of a group, and does not wait for it. What Open does
// then in its caller's goroutine, goroutines of the group do, and only while body has
// something to do ([Opener.Hibernate]). The context ends before the group does. ended is
// given what Open would return; what it returns, if that is not nil, is the group's
// failure. With a nil ended the group fails with the context. It is not called when body
// panics, which Open would not have returned from: the group goes on with the panic. The
// error is why there is no context.
func (e ContextEndpoint[Args, Started, In, Out, Result]) OpenIn(g *Group, p Portal, args Args,
	body func(ctx context.Context, c *Opener[Started, In, Out, Result]) error, ended func(r Result, err error) error,
) error {
	err := errGroupEnded
	g.tasks.Here(func() {
		var d *dialog.Dialog
		var told ending
		if d, told, err = begin(g.ctx, e.sig, p, args, e.options); err == nil {
			e.scopeIn(g, d, told, body, ended)
		}
	})
	return err
}

// scopeIn is the context of a dialog that has been opened.
func (e ContextEndpoint[Args, Started, In, Out, Result]) scopeIn(g *Group, d *dialog.Dialog, told ending,
	body func(ctx context.Context, c *Opener[Started, In, Out, Result]) error, ended func(r Result, err error) error,
) {
	var opened *Opener[Started, In, Out, Result]
	d.ScopeIn(&g.tasks, func(ctx context.Context, d *dialog.Dialog) (_ []byte, err error) {
		if opened, err = newOpener[Started, In, Out, Result](e.sig, e.options, d); err != nil {
			return nil, err
		}
		return nil, body(ctx, opened)
	}, func(err error) {
		over(told, false, err)
		panics.Attempt(func() error {
			panics.Rethrow(err)
			r, err := opened.outcome(g.ctx, explain(e.sig, d, err))
			if ended == nil {
				return err
			}
			return ended(r, err)
		}, g.end)
	})
}

// Hibernate is for a body that has nothing to do until something happens: what it gives is
// returned from the body, as it is. In a [Group] the context then needs no goroutine on
// this side. The body has not ended; it goes on with next when there is news, and next may
// hibernate again. That is when ctx has ended, when there are messages in the stream that
// this side has opened, when the callee sends no more, and when it has ended. Each is news
// once; after messages, all that has ended is news again. So a next that takes one message
// is called for the one that follows it.
func (c *Opener[Started, In, Out, Result]) Hibernate(next func(ctx context.Context) error) error {
	return c.d.Hibernate(func(ctx context.Context, _ *dialog.Dialog) ([]byte, error) { return nil, next(ctx) })
}

// Hibernate is for the handler of a context that has nothing to do until something happens: the
// handler returns what it gives, as it is. The context then needs no goroutine on this side. The
// handler has not ended; it goes on with next when there is something to do, as an opener does
// ([Opener.Hibernate] says when), and next may hibernate again.
//
//	return contract.Hibernate(func(ctx context.Context) (int, error) {
func Hibernate[Result any](next func(ctx context.Context) (Result, error)) (Result, error) {
	var none Result
	return none, &hibernating[Result]{next}
}

// hibernating is what Hibernate gives. Only the Handle of a context understands it.
type hibernating[Result any] struct {
	next func(ctx context.Context) (Result, error)
}

// Error is what a caller sees of a handler that cannot hibernate.
func (*hibernating[Result]) Error() string { return (*dialog.Hibernation)(nil).Error() }

// reply is what a handler of a context has returned, as its dialog takes it.
func reply[Result any](s *signature, d *dialog.Dialog, value Result, err error) ([]byte, error) {
	if h, ok := err.(*hibernating[Result]); ok { //nolint:errorlint // as it is
		return nil, d.Hibernate(func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
			value, err := h.next(arrive(ctx, d))
			return reply(s, d, value, err)
		})
	}
	if err != nil {
		return nil, err
	}
	return answer(s, d, value)
}
