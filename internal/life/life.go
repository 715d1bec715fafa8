package life

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Config is what a program says of the actor that it will be. It is not changed after New.
type Config struct {
	Endpoints []contract.Handler
	Hosts     func(ctx context.Context, tree []byte, serve func(ctx context.Context) error) error // sdk.Plugin has it
	Around    func(ctx context.Context, serve func(ctx context.Context) error) error              // the same
	PID       int
	// What the actor takes from its host; sdk.Plugin has them.
	MaxMessage, MaxDialogs, MaxArguments int
	Trials                               int // [dialog.Config] has it
	// Base is what the ctx of every handler derives from; context.Background if nil. Its end
	// is theirs.
	Base context.Context
	// Exit is called when the actor is over, with its failure if it had one, as the last
	// act of the goroutine that has run it.
	Exit func(failure error)
	// Printed is whether the parent reads what this program prints.
	Printed bool
	// Log is asked at the boot what the runtime logs to, whose handler must not wait for
	// anybody. It may be nil, or return nil: nothing is logged.
	Log func() *slog.Logger
}

// Life is an actor from its boot to its end. It owns the [dialog.Table], and one goroutine
// that runs the service until somebody wants it to end:
//
//	boot → serving → stop requested → no new work → tasks cancelled → tasks ended
//	     → acknowledged → children ended → link closed → Exit
//
// Another one watches for the loss of the link, and requests the stop. The fields that begin
// sets do not change after it; what changes is behind channels.
type Life struct {
	cfg Config

	booted  atomic.Bool
	self    atomic.Pointer[actor.ID] // whoever sets it decides: the boot, or Forgo
	parent  actor.ID
	table   *dialog.Table
	router  *route.Router
	calls   serviceCalls                // of the plugin's own gRPC services
	ready   chan struct{}               // the service runs
	held    chan struct{}               // the actor has its lease; closed from the start if it needs none
	stop    chan stopRequest            // cap 1: the first wish to end counts
	drained chan struct{}               // all tasks have ended: the stop is acknowledged
	ended   chan struct{}               // the actor is over
	failed  error                       // why serving ended by itself; set before ended
	cancel  context.CancelFunc          // of the service's ctx
	ending  *self.Ending                // of the actor itself
	running atomic.Pointer[task.Worker] // run, once it has been started
	hosted  *directory.Memory           // what becomes of the actors that it hosts
	records *records.Store              // what they say
	telling task.Group                  // tells the parent of both, from the first of each on
	// endTelling ends that, which closeLink calls.
	endTelling context.CancelFunc
}

// stopRequest is a request that the actor end. Requests come from the host, a signal, the
// loss of the link, a failed boot, and from what the plugin hosts; the first one decides
// what the tasks are told and what the exit code is.
type stopRequest struct {
	cause error // for the tasks that still run
	fail  error // the actor's own failure, nil if it was asked to end
}

// New makes the life of an actor that has not been booted yet.
func New(cfg Config) *Life {
	cfg.Base = cmp.Or(cfg.Base, context.Background())
	if cfg.Log == nil {
		cfg.Log = func() *slog.Logger { return nil }
	}
	l := &Life{
		cfg: cfg, ending: self.NewEnding(), endTelling: func() {}, ready: make(chan struct{}), held: make(chan struct{}),
		stop: make(chan stopRequest, 1), drained: make(chan struct{}), ended: make(chan struct{}),
	}
	return l
}

// begin makes the table over the transport and starts the service. From here on only run
// ends the actor: whatever fails later requests a stop. Endpoints are checked before the table
// exists, since its reader starts at once.
func (l *Life) begin(r *wire.BootRequest, t link.Transport) (*endpoint.Exposed, error) {
	id := r.Self.ToID()
	id.PID = l.cfg.PID
	exposed, err := endpoint.Expose(id, l.cfg.Endpoints...)
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "trellis: %v", err)
	}
	if !l.self.CompareAndSwap(nil, &id) {
		return nil, status.Error(codes.Unavailable, "trellis: the program has been told to end")
	}
	l.parent = r.Parent.ToID()
	telling, end := context.WithCancel(context.Background())
	l.endTelling = end
	l.tell(telling, r)
	l.router = &route.Router{Self: id, Parent: l.parent, Root: r.Root.ToID(), Down: l.hosted}
	receiving := toldReceiving(r)
	ctx, cancel := context.WithCancel(WithReceiving(l.context(), receiving))
	l.cancel = cancel
	log := l.cfg.Log()
	l.table = dialog.Prepare(
		link.New(t, link.Config{
			Self: id, Dialled: true, Log: log,
			MaxMessage: l.cfg.MaxMessage, MaxDialogs: l.cfg.MaxDialogs, MaxArguments: l.cfg.MaxArguments,
		}),
		dialog.Config{
			Base: ctx, Accept: exposed.Accept, Runtime: l.runtime, Route: l.router.FromParent, Log: log,
			Spans: tracing.To(l.records, r.Path), Receiving: receiving, CancelTimeout: time.Duration(r.CancelTimeout), Trials: l.cfg.Trials,
		})
	l.router.Up = l.table
	l.table.Link().Start(l.table)
	watching, leasing := task.Start(l.watchLink), l.keepLease(time.Duration(r.Lease))
	l.running.Store(task.Start(func() {
		err := l.serve(ctx, r.Tree)
		l.finish(err)
		watching.Wait() // the link has ended
		leasing.Wait()
		l.cfg.Exit(err)
	}))
	return exposed, nil
}

// tell makes what has the events, records and spans of the actor and of those that it hosts,
// until its parent is told of them.
func (l *Life) tell(telling context.Context, r *wire.BootRequest) {
	// A parent that does not want to know refuses it, and then nobody does.
	l.hosted = directory.NewMemory(r.Path, func() {
		l.telling.Go(func() { _ = report.Send(telling, l.table, l.hosted) })
	})
	spans := 0
	if r.Spans {
		spans = report.MostOnTheWay
	}
	l.records = records.New(r.Path, report.MostOnTheWay, spans, func() {
		l.telling.Go(func() { _ = report.SendRecords(telling, l.table, r.Path, l.records) })
	})
}

// context is what every handler's ctx derives from.
func (l *Life) context() context.Context {
	ctx := ctxvalue.With(self.With(l.cfg.Base, l.Self(), l.ending), l)
	ctx = inspect.WithOrders(telemetry.WithMeasure(ctx, route.ReadMetrics(Parent(ctx))), inspect.Orders(Parent(ctx)))
	ctx = telemetry.With(ctx, report.Records{Store: l.records, Host: Parent(ctx), Printed: l.cfg.Printed})
	return directory.With(route.With(ctx, l.router), report.Tree{Memory: l.hosted, Host: Parent(ctx), To: l.router.To})
}

// Parent leads to the actor that has started the one whose handler ctx belongs to. Its life is a
// value of the ctx and not a variable of the package, so that code outside a handler cannot call
// the parent without a task that owns the call.
func Parent(ctx context.Context) endpoint.Reach {
	l := ctxvalue.Of[*Life](ctx)
	return func(context.Context) (t dialog.Target, err error) {
		if l == nil {
			return t, errors.New("sdk.Parent: this ctx is not a handler's; a plugin can call its parent only from a handler")
		}
		return l.table.To(nil), nil
	}
}

// Self is the actor's identity; the zero ID before it is booted.
func (l *Life) Self() (id actor.ID) {
	if booted := l.self.Load(); booted != nil {
		id = *booted
	}
	return id
}

// Forgo reports whether the actor has not begun: then it never will, and its program ends without
// it, by whoever has called this.
func (l *Life) Forgo() bool { return l.self.CompareAndSwap(nil, &actor.ID{}) }

// Table holds the actor's dialogs; nil before it is booted.
func (l *Life) Table() *dialog.Table { return l.table }

// Ended is closed when the actor serves nothing any more, and has nothing to do but to say
// goodbye.
func (l *Life) Ended() <-chan struct{} { return l.ended }

// Wait returns when Exit has; at once if the actor has not been booted.
func (l *Life) Wait() {
	if running := l.running.Load(); running != nil {
		running.Wait()
	}
}

// finish ends the link in order when the service has ended, with its failure if it had
// one. What the plugin hosts is gone by now. ended is closed first, so that a cancel
// request that came too late, and a boot that still waits, are answered; Lose and Close
// come last, when the peer has had its chance to read everything.
func (l *Life) finish(failure error) {
	l.failed = failure
	close(l.ended)
	l.cancel()
	l.table.WaitRuntime() // the acknowledgement goes out before the goodbye
	l.hosted.Finish()
	l.records.Finish()
	l.closeLink(failure)
	l.table.Lose(fault.ErrActorClosing)
	l.table.Close()
	l.telling.Close()
}

// serve runs the service, inside what the plugin needs for it, and what it hosts if it hosts anything. Both
// are the author's code, and host.Subtree under the latter; should one call runtime.Goexit, the actor still
// ends, as failed.
func (l *Life) serve(ctx context.Context, tree []byte) error {
	select {
	case <-l.held:
	case r := <-l.stop: // it has done nothing that would have to end, and never will
		l.ending.Give(r.cause)
		close(l.drained)
		return r.fail
	}
	service := l.service
	if l.cfg.Around != nil {
		service = func(ctx context.Context) error {
			return panics.Isolate(func() error { return l.cfg.Around(ctx, l.service) })
		}
	}
	if len(tree) == 0 {
		return service(ctx)
	}
	return panics.Isolate(func() error { return l.cfg.Hosts(ctx, tree, service) })
}

// service is what the actor does between boot and end. ctx ends early if
// something that the plugin hosts has failed.
func (l *Life) service(ctx context.Context) error {
	l.table.Rebase(ctx)
	l.calls.open(ctx)
	close(l.ready)
	var r stopRequest
	select {
	case r = <-l.stop:
	case <-ctx.Done():
		cause := context.Cause(ctx)
		r = stopRequest{cause: cause, fail: cause}
	}
	// New tasks are refused before those that run are cancelled, so that none slips in
	// between the two. Calls over the link and those of services are cancelled before either
	// is waited for, as they may wait for each other.
	l.ending.Give(r.cause)
	l.table.Refuse(fault.ErrActorClosing)
	l.table.CancelTasks(r.cause)
	l.calls.end(fault.ErrActorClosing, r.cause)
	l.table.Wait()
	close(l.drained)
	return r.fail
}

// How long a host may take to hear an actor's last events, and then to answer its goodbye: the
// latter is as long as it gives the actor by default to exit. A host that is stopped, or
// hangs, must not keep the exit hooks from running; one that is only slow with events still
// hears the goodbye.
const (
	lastEventsTimeout = time.Second
	goodbyeTimeout    = 5 * time.Second
)

// closeLink says goodbye, with the actor's failure if it had one, and waits for
// the host to have heard it. The last events of what was hosted go before it.
func (l *Life) closeLink(failure error) {
	task.ClosedWithin(l.telling.Idle(), lastEventsTimeout)
	l.endTelling()
	ln := l.table.Link()
	ln.Close(failure)
	if !task.ClosedWithin(ln.Done(), goodbyeTimeout) {
		ln.Abort(errors.New("the host has not answered the goodbye in time"))
		<-ln.Done()
	}
}

// Stop makes the actor end: its tasks are told the cause, and fail is its own failure, nil if
// it was asked to end. It does not wait. Only the first request counts: it stays in the channel
// until the service takes it, and later ones find it full or are never read.
func (l *Life) Stop(cause, fail error) {
	select {
	case l.stop <- stopRequest{cause, fail}:
	default:
	}
}

// runtime serves the endpoints that hosts call themselves. Their
// tasks are not among those that the end of the actor cancels and waits for: one of them
// is what waits for all the others.
func (l *Life) runtime(start *wire.Start) (dialog.Task, error) {
	switch start.Endpoint {
	case wire.CancelActor:
		return l.cancelActor, nil
	case wire.Order:
		return l.router.Obey, nil
	case wire.Metrics:
		return l.router.Measured, nil
	case wire.Inspect:
		return l.inspect, nil
	}
	return nil, &fault.NotExposed{Actor: l.Self(), Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind)}
}

// cancelActor ends the actor because its host wants it to, and answers when all of its
// tasks have ended. The answer does not wait for the plugins that this one hosts, nor for
// its exit hooks: the host has another bound for them, the grace, which it says in the
// request so that the children can be ended within it.
func (l *Life) cancelActor(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	var r wire.CancelRequest
	if err := codecs.CBOR.Unmarshal(d.Args(), &r); err != nil {
		return nil, fmt.Errorf("cancel request: %w", err)
	}
	if r.Grace > 0 {
		l.ending.Bound(time.Now().Add(r.Grace))
	}
	l.Stop(&fault.ContextCancelled{Canceller: r.Canceller, Reason: r.Reason}, nil)
	select {
	case <-l.drained:
		return nil, nil
	case <-l.ended:
		return nil, nil
	case <-ctx.Done(): // the host has stopped waiting; the actor still ends
		return nil, context.Cause(ctx)
	}
}

// inspect says what the process is doing. Like any task of the runtime it has a goroutine that no author's code runs on, and
// is served from the first moment of the link to the last: also before the actor is ready, and while it ends.
func (l *Life) inspect(_ context.Context, d *dialog.Dialog) ([]byte, error) {
	r, err := route.Ordered(d)
	if err != nil {
		return nil, err
	}
	return inspect.Encode(inspect.Self(r.Do, l.table))
}

// watchLink makes the loss of the host end the actor. It also runs when the actor itself
// has closed the link, at its end; then everything that it does comes too late to change
// anything.
func (l *Life) watchLink() {
	ln := l.table.Link()
	<-ln.Done()
	reason := errors.New("the host has closed the link")
	if err := ln.Err(); err != nil {
		reason = err
	}
	lost := &fault.LinkLost{Peer: l.parent, Reason: reason.Error()}
	l.table.Lose(lost)
	l.Stop(lost, lost)
}
