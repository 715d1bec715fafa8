package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// life is the actor from its boot to its end. It owns the [dialog.Table], and one
// goroutine that runs the service until somebody wants it to end:
//
//	boot → serving → stop requested → no new work → tasks cancelled → tasks ended
//	     → acknowledged → children ended → link closed → process ended
//
// Two more watch for signals and for the loss of the link, and request the stop. The
// fields that begin sets do not change after it; what changes is behind channels.
type life struct {
	plugin         Plugin
	stdout, stderr *os.File // as the process was given them

	identity *tls.Config // of direct connections; nil: there are none

	self    actor.ID
	parent  actor.ID
	table   *dialog.Table
	calls   serviceCalls       // of the plugin's own gRPC services
	ready   chan struct{}      // the service runs
	stop    chan stopRequest   // cap 1: the first wish to end counts
	drained chan struct{}      // all tasks have ended: the stop is acknowledged
	ended   chan struct{}      // the actor is over
	failed  error              // why serving ended by itself; set before ended
	cancel  context.CancelFunc // of the service's ctx
	ending  *self.Ending       // of the actor itself

	rehearsal *task.Worker
	running   atomic.Pointer[task.Worker] // run, once it has been started
	exiting   sync.Once
}

// stopRequest is a request that the actor end. Requests come from the host, a signal, the
// loss of the link, a failed boot, and from what the plugin hosts; the first one decides
// what the tasks are told and what the exit code is.
type stopRequest struct {
	cause error // for the tasks that still run
	fail  error // the actor's own failure, nil if it was asked to end
}

func newLife(p Plugin, stdout, stderr *os.File) *life {
	return &life{
		plugin: p, stdout: stdout, stderr: stderr, ending: self.NewEnding(), ready: make(chan struct{}),
		stop: make(chan stopRequest, 1), drained: make(chan struct{}), ended: make(chan struct{}),
	}
}

// begin makes the table over the transport and starts the service. From here on only run
// ends the process: whatever fails later requests a stop.
//
// The order matters. Endpoints are checked before the table exists, since its reader
// starts at once. Signals are asked for before the boot is answered: a SIGTERM between the
// two would kill the process without any order. SIGPIPE is caught because the runtime of
// Go would end the process at a write to a standard output that nobody reads.
func (l *life) begin(r *wire.BootRequest, t link.Transport) (*endpoint.Exposed, error) {
	l.self, l.parent = r.Self.ToID(), r.Parent.ToID()
	l.self.PID = os.Getpid()
	exposed, err := endpoint.Expose(l.self, l.plugin.Endpoints...)
	if err != nil {
		return nil, err
	}
	receiving := dialog.Told(r)
	ctx, cancel := context.WithCancel(dialog.WithReceiving(l.context(), receiving))
	l.cancel = cancel
	log := logs.New(slog.Default()).Logger().With(wire.LogKey, wire.LogRuntime) // the host may be slow to read
	l.table = dialog.NewTable(
		link.New(t, link.Config{Self: l.self, Dialled: true, Log: log}),
		dialog.Config{
			Base: ctx, Accept: exposed.Accept, Runtime: l.runtime, Log: log,
			Receiving: receiving, CancelTimeout: time.Duration(r.CancelTimeout),
		})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, process.EndSignals()...)         // before the host, or anybody, knows that the actor is ready
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write fails instead
	// These three end with the process.
	l.running.Store(task.Start(func() { l.run(ctx, r.Tree) }))
	task.Start(func() { l.watchSignals(signals) })
	task.Start(l.watchLink)
	return exposed, nil
}

// context is what every handler's ctx derives from.
func (l *life) context() context.Context {
	return context.WithValue(self.With(context.Background(), l.self, l.ending), parentKey{}, l)
}

// awaitReady waits until the service runs, or has failed to. The end of ctx means that the
// host does not wait for the boot any more: the actor ends by itself then, without waiting
// to be killed.
func (l *life) awaitReady(ctx context.Context) error {
	select {
	case <-l.ready:
		return nil
	case <-l.ended:
		return l.failed
	case <-ctx.Done():
		l.requestStop(stopRequest{cause: ctx.Err()})
		return context.Cause(ctx)
	}
}

// run is the actor's one life: it serves, ends in order, and ends the process. It has a
// goroutine of its own because main's is inside plugin.Serve of go-plugin, which returns
// when its server has stopped, and that need not be when the actor ends.
func (l *life) run(ctx context.Context, tree []byte) {
	err := l.serve(ctx, tree)
	l.finish(err)
	if err != nil {
		l.exit(exitFailed)
	}
	l.exit(exitWell)
}

// finish ends the link in order when the service has ended, with its failure if it had
// one. What the plugin hosts is gone by now. ended is closed first, so that a cancel
// request that came too late, and a boot that still waits, are answered; Lose and Close
// come last, when the peer has had its chance to read everything.
func (l *life) finish(failure error) {
	l.failed = failure
	close(l.ended)
	l.cancel()
	l.table.WaitRuntime() // the acknowledgement goes out before the goodbye
	l.closeLink(failure)
	l.table.Lose(fault.ErrActorClosing)
	l.table.Close()
}

// serve runs the service, inside what the plugin hosts if it hosts anything. Hosts is the
// author's code, and host.Subtree under it; should it call runtime.Goexit, the actor still
// ends, as failed.
func (l *life) serve(ctx context.Context, tree []byte) error {
	if len(tree) == 0 {
		return l.service(ctx)
	}
	return isolate(func() error { return l.plugin.Hosts(ctx, tree, l.service) })
}

// service is what the actor does between boot and end. ctx ends early if
// something that the plugin hosts has failed.
func (l *life) service(ctx context.Context) error {
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

// goodbyeTimeout is how long a host may take to answer an actor's goodbye: as long as it
// gives the actor by default to exit. A host that is stopped, or hangs, must not keep the
// exit hooks from running.
const goodbyeTimeout = 5 * time.Second

// closeLink says goodbye, with the actor's failure if it had one, and waits for
// the host to have heard it.
func (l *life) closeLink(failure error) {
	ln := l.table.Link()
	ln.Close(failure)
	select {
	case <-ln.Done():
	case <-time.After(goodbyeTimeout):
		ln.Abort(errors.New("the host has not answered the goodbye in time"))
		<-ln.Done()
	}
}

// requestStop makes the actor end. Only the first request counts: it stays in the channel
// until the service takes it, and later ones find it full or are never read.
func (l *life) requestStop(r stopRequest) {
	select {
	case l.stop <- r:
	default:
	}
}

// runtime serves the endpoints that hosts call themselves, of which there is one. Their
// tasks are not among those that the end of the actor cancels and waits for: one of them
// is what waits for all the others.
func (l *life) runtime(start *wire.Start) (dialog.Task, error) {
	if start.Endpoint != wire.CancelActor {
		return nil, &fault.NotExposed{Actor: l.self, Endpoint: start.Endpoint, Kind: dialog.KindName(start.Kind)}
	}
	return l.cancelActor, nil
}

// cancelActor ends the actor because its host wants it to, and answers when all of its
// tasks have ended. The answer does not wait for the plugins that this one hosts, nor for
// its exit hooks: the host has another bound for them, the grace, which it says in the
// request so that the children can be ended within it.
func (l *life) cancelActor(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
	var r wire.CancelRequest
	if err := wire.CBOR.Unmarshal(d.Args(), &r); err != nil {
		return nil, fmt.Errorf("cancel request: %w", err)
	}
	if r.Grace > 0 {
		l.ending.Bound(time.Now().Add(r.Grace))
	}
	l.requestStop(stopRequest{cause: &fault.ContextCancelled{Canceller: r.Canceller, Reason: r.Reason}})
	select {
	case <-l.drained:
		return nil, nil
	case <-l.ended:
		return nil, nil
	case <-ctx.Done(): // the host has stopped waiting; the actor still ends
		return nil, context.Cause(ctx)
	}
}

// watchSignals makes SIGTERM, SIGINT and SIGHUP end the actor in order, as its own
// wish. That nobody reads its output any more does not end it by itself: the loss of
// its host does, in order.
func (l *life) watchSignals(signals <-chan os.Signal) {
	select {
	case s := <-signals:
		l.requestStop(stopRequest{cause: &fault.ContextCancelled{Canceller: l.self, Reason: "it received " + s.String()}})
	case <-l.ended:
	}
}

// watchLink makes the loss of the host end the actor. It also runs when the actor itself
// has closed the link, at its end; then everything that it does comes too late to change
// anything.
func (l *life) watchLink() {
	ln := l.table.Link()
	<-ln.Done()
	reason := errors.New("the host has closed the link")
	if err := ln.Err(); err != nil {
		reason = err
	}
	lost := &fault.LinkLost{Peer: l.parent, Reason: reason.Error()}
	l.table.Lose(lost)
	l.requestStop(stopRequest{cause: lost, fail: lost})
}
