package dialog

import (
	"context"
	"time"
)

// taskContext is the ctx of a callee's task: the dialog itself. Most short tasks ask their ctx for nothing, or
// for values, so a ctx that can be cancelled is made only when somebody asks for more, or when it ends
// before its task does. Until then it ends as outer does, and at the deadline. What is made stays.
//
// outer is the table's root, and so nothing here but Value and Deadline calls code of an author, who may
// hold whoever calls it for ever. Those two are called by nobody who must not wait.
type taskContext Dialog

// root is what the ctxs of a table's callees derive from: a ctx of the runtime's own below the base, which
// may be of an author's type. It belongs to the table, which ends it when all tasks have. It knows the base's
// deadline, since to derive a ctx with another one asks for it.
type root struct {
	context.Context // one of package context

	end      context.CancelFunc // or the base would keep it
	deadline time.Time
	limited  bool
}

// Deadline implements context.Context.
func (r *root) Deadline() (time.Time, bool) { return r.deadline, r.limited }

// over is what becomes of a ctx that is not made when its task ends. It has ended and has no values, so
// one for all tasks is enough.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// make makes the ctx that can be cancelled, and cancel, unless that has been done. It reports whether it was this
// call: nobody else has seen the ctx then, and to cancel it at once calls nobody's code.
func (c *taskContext) make() (now bool) {
	c.once.Do(func() {
		ctx, cancel := context.WithCancelCause(c.outer)
		c.late, c.cancel = ctx, cancel
		if !c.deadline.IsZero() {
			limited, stop := context.WithDeadline(ctx, c.deadline)
			c.late, c.cancel = limited, func(cause error) { cancel(cause); stop() }
		}
		now = true
		c.made.Store(true)
	})
	return now
}

// close ends the ctx with its task: whoever has kept it finds it ended. If nobody has asked for it by then, that
// costs nothing: it becomes over, or, should that have ended before, its outer.
func (c *taskContext) close() {
	if (*Dialog)(c).expired() {
		c.make() // it ended with its deadline, though nobody has asked
	}
	c.once.Do(func() {
		if c.late = over; c.outer.Err() != nil {
			c.late = c.outer
		}
		c.made.Store(true)
	})
	if c.cancel != nil {
		c.cancel(nil)
	}
}

// now is what the ctx is at the moment: outer, as long as nothing has happened to this dialog alone. A
// deadline that has passed has, though no timer was set for it.
func (c *taskContext) now() context.Context {
	if !c.made.Load() {
		if !(*Dialog)(c).expired() {
			return c.outer
		}
		c.make()
	}
	return c.late
}

// Done implements context.Context. A channel that closes must be there before the end, so this makes the ctx;
// package context asks for it whenever something derives from this.
func (c *taskContext) Done() <-chan struct{} {
	c.make()
	return c.late.Done()
}

// Err implements context.Context. It makes nothing, as a task may ask again and again.
func (c *taskContext) Err() error { return c.now().Err() }

// Deadline implements context.Context.
func (c *taskContext) Deadline() (time.Time, bool) {
	at, limited := c.outer.Deadline()
	if !c.deadline.IsZero() && (!limited || c.deadline.Before(at)) {
		return c.deadline, true
	}
	return at, limited
}

// Value implements context.Context. Package context finds by it what there is of its own types.
func (c *taskContext) Value(key any) any {
	if key == (taskKey{}) {
		return (*Dialog)(c)
	}
	if v := c.span.Value(key); v != nil {
		return v
	}
	ctx := c.now()
	if v := ctx.Value(key); v != nil || ctx != over {
		return v
	}
	return c.outer.Value(key)
}

// String is for those who print a ctx: without it, they would have all fields of the dialog, and read them
// without its lock.
func (c *taskContext) String() string { return "the ctx of a handler of " + c.endpoint }
