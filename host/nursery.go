package host

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Nursery owns child actors. It is a guarded table: every change goes through
// update, which looks again whether all has ended. Its methods may be called from
// any goroutine.
type Nursery struct {
	env     *environment
	collect bool
	ctx     context.Context
	cancel  context.CancelCauseFunc
	tasks   task.Group // one-shots, and the goroutines that own children

	mu        sync.Mutex
	closed    error // why no further child is started; nil while open
	cancelled bool  // by Cancel
	pending   int   // one-shots, and children being started
	children  map[*child]struct{}
	failures  []error
	idle      chan struct{} // closed when nothing is left, after settling
	settling  bool          // body has ended
}

var errCancelled = errors.New("the nursery was cancelled")

// OpenNursery runs body in a scope for child actors, and returns when body has
// returned and every child has ended and been reaped.
//
// If body returns nil, the nursery waits for its one-shots and then for its other
// children, for as long as they live. If body fails or panics, or ctx ends, or a
// child fails, all children are cancelled. It returns what body failed with, or
// what the children failed with; more than one independent failure is a
// *fault.Group.
func OpenNursery(ctx context.Context, o Options, body func(ctx context.Context, n *Nursery) error) error {
	env, ctx, err := newEnvironment(ctx, o)
	if err != nil {
		return err
	}
	nurseries.enter()
	defer nurseries.leave(env.log)
	n := &Nursery{env: env, collect: o.CollectAll, children: map[*child]struct{}{}, idle: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancelCause(ctx)
	env.base = n.ctx
	defer n.cancel(nil)
	return n.run(ctx, body)
}

func (n *Nursery) run(ctx context.Context, body func(ctx context.Context, n *Nursery) error) error {
	stopped := make(chan struct{})
	unfollow := context.AfterFunc(n.ctx, func() {
		defer close(stopped)
		n.stopAll()
	})
	err := fault.ErrGoexit
	finish := func() {
		n.settle(err)
		<-n.idle
		if !unfollow() {
			<-stopped
		}
		n.tasks.Close()
	}
	defer func() { // again only if body called runtime.Goexit
		if errors.Is(err, fault.ErrGoexit) {
			finish()
		}
	}()
	err = fault.Catch(func() error { return body(n.ctx, n) })
	told := causeOf(n.ctx)
	finish()
	fault.Rethrow(err)
	return n.verdict(ctx, err, told)
}

// settle notes that body has ended: a failure cancels the children, and from now
// on the nursery ends with the last of them.
func (n *Nursery) settle(err error) {
	if err != nil {
		n.cancel(err)
	}
	n.update(func() { n.settling = true })
}

// update changes the table and asks again whether the nursery has ended.
func (n *Nursery) update(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	if n.settling && n.pending == 0 && len(n.children) == 0 && !isClosed(n.idle) {
		n.refuse(nil)
		close(n.idle)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// refuse makes every later start fail.
func (n *Nursery) refuse(cause error) {
	if n.closed != nil {
		return
	}
	n.closed = fault.ErrNurseryClosed
	if cause != nil {
		n.closed = fmt.Errorf("%w: %w", fault.ErrNurseryClosed, cause)
	}
}

// stopAll asks every child to end, those first that need others.
func (n *Nursery) stopAll() {
	cause := context.Cause(n.ctx)
	n.update(func() {
		n.refuse(cause)
		for c := range n.children {
			n.stop(c, reasonOf(cause))
		}
	})
}

// stop asks one child to end, once all that need it are gone.
func (n *Nursery) stop(c *child, reason string) {
	var dependents []*child
	for other := range n.children {
		for _, needed := range other.needs {
			if needed == c {
				dependents = append(dependents, other)
			}
		}
	}
	if len(dependents) == 0 {
		c.ask(reason)
		return
	}
	n.tasks.Go(func() {
		for _, d := range dependents {
			<-d.reaped
		}
		c.ask(reason)
	})
}

// reasonOf is a cause as the reason of a cancel: one line.
func reasonOf(cause error) string {
	if errors.Is(cause, errCancelled) || errors.Is(cause, context.Canceled) {
		return "its nursery was cancelled"
	}
	return "its nursery failed: " + cause.Error()
}

// Cancel asks every child to end. The nursery then ends without an error of its
// own. Cancel does not wait.
func (n *Nursery) Cancel() {
	n.update(func() { n.cancelled = n.cancelled || n.ctx.Err() == nil })
	n.cancel(errCancelled)
}

// Go runs f in a goroutine that the nursery waits for. f should end when the ctx of
// the nursery's body does. On a nursery that has ended, Go does nothing and reports
// false.
func (n *Nursery) Go(f func()) bool { return n.tasks.Go(f) }

// Done is closed when the nursery's function has returned and every child has
// ended and been reaped: no link ends before its child's last word is in.
func (n *Nursery) Done() <-chan struct{} { return n.idle }

// Self is the actor that the nursery belongs to.
func (n *Nursery) Self() actor.ID { return n.env.self }

// Start starts a child actor and returns when it is ready to be called. The child
// lives until it is cancelled or the nursery is.
//
// Errors: fault.ErrNurseryClosed (no process was created), *StartError, the cause
// of ctx or of the nursery's own end (the process is gone).
func (n *Nursery) Start(ctx context.Context, spec Spec) (*Portal, error) {
	return n.start(ctx, spec, nil)
}

func (n *Nursery) start(ctx context.Context, spec Spec, needs []*child) (*Portal, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	c, err := n.spawn(ctx, spec, needs, false)
	n.leave()
	if err != nil {
		return nil, err
	}
	return &Portal{c}, nil
}

// enter counts a start or a one-shot, unless the nursery takes no more.
func (n *Nursery) enter() (err error) {
	n.update(func() {
		if err = n.closed; err == nil {
			n.pending++
		}
	})
	return err
}

func (n *Nursery) leave() { n.update(func() { n.pending-- }) }

// spawn starts a child that belongs to the nursery. The end of either ctx ends
// the start.
func (n *Nursery) spawn(ctx context.Context, spec Spec, needs []*child, oneShot bool) (*child, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(n.ctx, func() { cancel(context.Cause(n.ctx)) })()
	c := newChild(n.env, spec, needs)
	c.oneShot = oneShot
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	n.adopt(c)
	return c, nil
}

// adopt makes a child that has come up one of the nursery's.
func (n *Nursery) adopt(c *child) {
	n.env.log.Debug("actor is ready", "actor", c.id.String(), "pid", c.id.PID)
	n.update(func() {
		n.children[c] = struct{}{}
		n.tasks.Go(func() { n.keep(c) })
		if n.closed != nil {
			n.stop(c, "its nursery has closed")
		}
	})
}

// keep owns a child and hears how it ended.
func (n *Nursery) keep(c *child) {
	c.own()
	if c.failure != nil && !c.oneShot {
		n.fail(c.failure)
	}
	n.update(func() { delete(n.children, c) })
}

// fail records an independent failure. Unless all failures are to be collected,
// it ends the others.
func (n *Nursery) fail(err error) {
	n.update(func() { n.failures = append(n.failures, err) })
	if !n.collect {
		n.cancel(err)
	}
}

// verdict is what the nursery returns, when all has ended. told is why body was
// told to end, before it did.
func (n *Nursery) verdict(ctx context.Context, body, told error) error {
	if body != nil && (told == nil || !fault.Echoes(body, told)) {
		return fault.Join(append([]error{body}, n.unsaid(body)...)...)
	}
	switch failures := fault.Join(n.failures...); {
	case failures != nil:
		return failures
	case n.cancelled:
		return nil
	}
	return causeOf(ctx)
}

// causeOf is why ctx has ended, nil while it has not.
func causeOf(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// unsaid are the failures that body's own does not tell of.
func (n *Nursery) unsaid(body error) []error {
	var rest []error
	for _, f := range n.failures {
		if !fault.Holds(body, f) {
			rest = append(rest, f)
		}
	}
	return rest
}
