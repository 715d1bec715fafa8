package host

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Nursery owns child actors and supervises them. Its methods may be called from any
// goroutine.
//
// It is open until its ctx ends or Cancel is called, settles when its body has returned,
// and has ended when [Nursery.Done] is closed. OpenNursery owns it and all of its
// goroutines.
type Nursery struct {
	// It is a guarded table: every change goes through update, which looks again whether all
	// has ended.
	env    *environment
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  task.Group // one-shots, the goroutines that own processes, and pauses
	door   *door      // where other programs join
	agents launchers  // that it starts

	// mu guards the following fields, and those of each child that change. It is held for
	// steps of the table only: nobody waits, logs or calls an author's code under it.
	mu           sync.Mutex
	plan         supervision
	children     map[int]*child
	nextID       int
	closed       error         // why no further child is started; nil while open
	cancellation *cancellation // that all end; nil while there is none
	cancelled    bool          // by Cancel
	pending      int           // one-shots
	failures     []error
	idle         chan struct{} // closed when nothing is left, after settling
	settling     bool          // body has ended
	changed      task.Change
	told         []directory.Event // to be logged after the change
	standbys     []*standby        // of the specs that have spares
	groups       map[string]*group // the actors of the tree, by name

	applying chan struct{} // cap 1: full while the tree is changed, or compared
}

var errCancelled = errors.New("the nursery was cancelled")

// OpenNursery runs body in a scope for child actors, and returns when body has
// returned and every child has ended and been reaped.
//
// If body returns nil, the nursery waits for its one-shots and then for its other
// children, for as long as they live. If body fails or panics, or ctx ends, all children
// are cancelled; and so they are if a child or a one-shot fails, unless the strategy of
// o.Supervision says that the others live on. It returns what body failed with, or
// what the children failed with; more than one independent failure is a
// *fault.Group.
func OpenNursery(ctx context.Context, o Options, body func(ctx context.Context, n *Nursery) error) error {
	return openNursery(ctx, o, func(ctx context.Context, n *Nursery) error {
		n.door.open(n)
		return body(ctx, n)
	})
}

// openNursery is OpenNursery, whose body opens the door.
func openNursery(ctx context.Context, o Options, body func(ctx context.Context, n *Nursery) error) error {
	if err := cmp.Or(o.Supervision.Check(), o.Streams.Check(), o.Telemetry.Check()); err != nil {
		return err
	}
	if o.Fleet != nil && o.Fleet.Registry != nil {
		return inRegistry(ctx, o, func(ctx context.Context, o Options) error { return openNursery(ctx, o, body) })
	}
	door, err := serve(ctx, o)
	switch {
	case errors.Is(err, ErrServed) && o.OrJoin:
		return joinInstead(ctx, o, body)
	case err != nil:
		return err
	}
	defer door.shut()
	env, ctx, err := newEnvironment(ctx, o)
	if err != nil {
		return err
	}
	nurseries.enter()
	defer env.flush()
	defer env.endRecordings()
	defer nurseries.leave(env.log)
	n := &Nursery{env: env, door: door, plan: supervision{Supervision: o.Supervision.WithDefaults()}, children: map[int]*child{}, groups: map[string]*group{}, idle: make(chan struct{}), applying: make(chan struct{}, 1)}
	if env.router.Up == nil { // others have whoever gives them orders in their ctx
		ctx = inspect.WithOrders(ctx, n.order)
	}
	n.ctx, n.cancel = context.WithCancelCause(ctx)
	env.base = n.ctx
	defer n.cancel(nil)
	if err := n.launch(o.Fleet); err != nil {
		return err
	}
	defer env.router.Hosts(route.Nursery{Obey: n.obey, Measure: n.measure})()
	if o.Dump != nil {
		n.tasks.Go(func() { n.dumps(o.Dump) })
	}
	defer env.end() // all children are gone, and so no event comes any more
	return n.run(ctx, body)
}

// run runs body and ends the children in every case: when body returns, panics, or calls
// runtime.Goexit. It returns in this order: the last child is reaped, stopAll does not run
// any more, and no goroutine of the nursery's is left.
func (n *Nursery) run(ctx context.Context, body func(ctx context.Context, n *Nursery) error) error {
	stopped := make(chan struct{})
	unfollow := context.AfterFunc(n.ctx, func() {
		defer close(stopped)
		n.stopAll()
	})
	var err, told error
	panics.Attempt(func() error { return body(n.ctx, n) }, func(ended error) {
		err, told = ended, causeOf(n.ctx)
		if err != nil {
			n.cancel(err)
		}
		n.update(func() { n.settling = true }) // from now on the nursery ends with the last of its children
		<-n.idle
		n.door.shut()
		n.agents.end()
		if !unfollow() {
			<-stopped
		}
		n.tasks.Close()
		n.env.letGo.Close()
	})
	panics.Rethrow(err)
	return n.outcome(ctx, err, told)
}

// update changes the table, wakes those who wait for a change, and asks again
// whether the nursery has ended.
func (n *Nursery) update(change func()) {
	for _, e := range n.changeTable(change) {
		n.env.logEvent(&e)
	}
}

// changeTable is update's part under the lock. It returns the events to log, since a log's
// handler is an author's code.
func (n *Nursery) changeTable(change func()) (told []directory.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil && !n.plan.closing { // stopAll may not have run yet
		n.plan.closing = true
		n.endStandbys()
	}
	change()
	n.changed.Tell()
	switch {
	case !n.settling || n.pending > 0 || isClosed(n.idle):
	case len(n.children) == 0:
		n.refuse(nil)
		close(n.idle)
		n.endStandbys()
	case n.ctx.Err() == nil && n.onlyGuests(): // it is not for them that the nursery lives on
		n.cancel(errCancelled)
	}
	told, n.told = n.told, nil
	return told
}

// look reads the table.
func (n *Nursery) look(read func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	read()
}

// carryOut does what a step of the table has given, in its order. It is called under the
// lock that the step was taken under; none of the actions waits.
func (n *Nursery) carryOut(actions []action) {
	for _, a := range actions {
		switch c := n.children[a.id]; a.kind {
		case actionTell:
			c.tell(a.event)
		case actionStart:
			c.startProcess(a.event)
		case actionStop:
			c.stopProcess()
		case actionPause:
			c.pause(a.event)
		case actionReport:
			n.lose(a.event.Err)
		case actionLimit:
			n.giveUp(c.tooOften(time.Duration(n.plan.Window), 0, a.event.Err))
		case actionUnstable:
			n.giveUp(c.tooOften(0, restartBackoff(c.spec).stable, a.event.Err))
		case actionLasting:
			n.giveUp(a.event.Err)
		case actionForget:
			c.forget(a.event)
		}
	}
}

// lose takes in a failure that no restart answers. Only the default strategy lets
// it end the others. It is called under the lock.
func (n *Nursery) lose(failure error) {
	n.failures = append(n.failures, failure)
	if n.plan.Strategy == config.OneCancelsAll {
		n.cancel(failure)
	}
}

// giveUp is the end of a nursery that cannot bring an actor back, or whose own goroutine
// has failed, whatever its strategy is. It is called under the lock; cancelling only begins
// the end, which stopAll carries out on a goroutine of its own.
func (n *Nursery) giveUp(failure error) {
	n.failures = append(n.failures, failure)
	n.cancel(failure)
}

// refuse makes every later start fail, with the first cause that is given. It is called
// under the lock.
func (n *Nursery) refuse(cause error) {
	if n.closed != nil {
		return
	}
	n.closed = &fault.NurseryClosed{Err: cause}
}

// closedErr is why nothing more is started, nil if it is. The end of the nursery's ctx closes
// it at once, and not only when that has been heard of.
func (n *Nursery) closedErr() error {
	if cause := causeOf(n.ctx); cause != nil {
		n.refuse(cause)
	}
	return n.closed
}

// stopAll asks every child to end, those first that need others. It runs once, when the
// nursery's ctx has ended, on the goroutine of context.AfterFunc. The cause may be an
// author's error, whose methods are called before the lock is taken and may not return:
// then the children end without its text.
func (n *Nursery) stopAll() {
	cause := context.Cause(n.ctx)
	w := fault.Ask(cause, func() *cancellation { return n.cancellationFor(reasonOf(cause)) }, func() *cancellation {
		return &cancellation{Canceller: n.env.self, Reason: "its nursery failed"} // and its failure does not say with what
	})
	n.update(func() {
		n.refuse(cause)
		n.cancellation = w
		n.carryOut(n.plan.close())
	})
}

// cancellationFor makes a cancellation of this actor's own. But one that was itself asked
// to end, or whose nursery was, ends its children in the name of whoever asked first.
func (n *Nursery) cancellationFor(reason string) *cancellation {
	for _, cause := range []error{causeOf(n.ctx), n.env.ending.Cause()} {
		if asked, ok := fault.Cancelled(cause); ok && fault.IsCancel(cause) {
			return asked
		}
	}
	return &cancellation{Canceller: n.env.self, Reason: reason}
}

// reasonOf is a cause as the reason of a cancel: one line.
func reasonOf(cause error) string {
	switch {
	case errors.Is(cause, errCancelled), cause == context.Canceled: //nolint:errorlint // what wraps it says more
		return "its nursery was cancelled"
	case errors.Is(cause, context.Canceled):
		return "its nursery was cancelled: " + cause.Error()
	}
	return "its nursery failed: " + cause.Error()
}

// Cancel asks every child to end. The nursery then ends without an error of its
// own. Unlike the Cancel of a portal or a context it does not wait, as the function that
// calls it is what the nursery itself waits for.
func (n *Nursery) Cancel() {
	n.update(func() { n.cancelled = n.cancelled || n.ctx.Err() == nil })
	n.cancel(errCancelled)
}

// Go runs f in a goroutine that the nursery waits for. f should end when the ctx of
// the nursery's body does. If it calls runtime.Goexit, as a failing test does, the nursery
// fails, whatever its strategy says of actors. On a nursery that has ended, Go does nothing
// and reports false.
func (n *Nursery) Go(f func()) bool {
	return n.tasks.Go(func() {
		returned := false
		defer func() {
			if !returned {
				n.update(func() { n.giveUp(fault.ErrGoexit) })
			}
		}()
		f()
		returned = true
	})
}

// after calls then when a while is over, or as soon as nobody waits for that any more:
// sooner is closed, or the nursery ends.
func (n *Nursery) after(d time.Duration, sooner <-chan struct{}, then func()) {
	n.tasks.Go(func() {
		select {
		case <-time.After(d):
		case <-sooner:
		case <-n.ctx.Done():
		}
		then()
	})
}

// Done is closed when the nursery's function has returned and every child has
// ended and been reaped: no link ends before its child's last word is in.
func (n *Nursery) Done() <-chan struct{} { return n.idle }

// Self is the actor that the nursery belongs to.
func (n *Nursery) Self() actor.ID { return n.env.self }

// Start starts a child actor and returns when it is ready to be called. The child
// lives until it is cancelled or the nursery is; spec says whether it is restarted when
// it ends before. A first start that fails is not tried again.
//
// Errors: fault.ErrNurseryClosed and a *StartError at stage "spec" (no process was
// created), which wraps a *config.Error if the spec breaks the rules of the config file,
// other *StartErrors, the cause of ctx or of the nursery's own end (the process is gone).
func (n *Nursery) Start(ctx context.Context, spec Spec) (*Portal, error) {
	if err := checkAlone(spec, false); err != nil {
		return nil, err
	}
	c, err := n.add(ctx, &child{spec: spec})
	if err != nil {
		return nil, err
	}
	if err := c.awaitUp(ctx); err != nil {
		return nil, err
	}
	return newPortal(c), nil
}

// add takes an actor into the nursery, which starts it when what it needs is there. c has what is
// particular to it: its spec, what it needs, whether it is a one-shot, and its program if that has
// joined. Nothing is started for a ctx that is over.
func (n *Nursery) add(ctx context.Context, c *child) (_ *child, err error) {
	over := causeOf(ctx) // an author's ctx may do anything, and not under a lock
	c.spec = anchoredHere(c.spec)
	n.update(func() {
		if err = cmp.Or(n.closedErr(), over, n.clash(c)); err == nil {
			n.take(c, "")
		}
	})
	return c, err
}

// take makes a child one of the nursery's, and tells why. It is called under the lock.
func (n *Nursery) take(c *child, why string) {
	n.nextID++
	c.n, c.id, c.name, c.self, c.gone = n, n.nextID, c.spec.Name, actor.NewID(c.spec.Name), make(chan struct{})
	c.respecify(c.spec, c.needs)
	c.member = n.env.registry.Join(c.name, c.found)
	c.number = treepath.Number(c.member.Path())
	n.children[c.id] = c
	n.carryOut(n.plan.add(&c.childState, why))
}

// enter counts a one-shot, unless the nursery takes no more.
func (n *Nursery) enter() (err error) {
	n.update(func() {
		if err = n.closedErr(); err == nil {
			n.pending++
		}
	})
	return err
}

// leave counts a one-shot that is over.
func (n *Nursery) leave() { n.update(func() { n.pending-- }) }

// fail takes in the failure of a one-shot.
func (n *Nursery) fail(err error) { n.update(func() { n.lose(err) }) }

// outcome is what the nursery returns, when all has ended. told is why body was
// told to end, before it did.
func (n *Nursery) outcome(ctx context.Context, body, told error) error {
	e := fault.EndingOf(n.ctx, body)
	e.Cause = told
	if e.Echo() {
		body = nil // what it was told is among the failures, or is the cause of ctx
	}
	err := fault.Ending{Body: body, Others: n.failures}.Verdict()
	if err != nil || n.cancelled {
		return err
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
