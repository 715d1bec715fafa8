package host

import (
	"context"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// connection is what calls into a process that is up go over: go-plugin's main connection,
// and, for an actor that was written with package sdk, its link. It belongs to the
// process's incarnation, whose goroutine calls its methods, with two exceptions: ask has a
// goroutine of its own, as it may take long; refuse is called under the nursery's lock,
// and so must neither wait nor call back.
//
// An end calls refuse first, then lose, then close. Each includes those before it, and the
// first reason that any of them is given is the one that callers see.
type connection interface {
	// gone is closed when the connection has broken or ended.
	gone() <-chan struct{}
	// breach is why it is gone.
	breach() error
	// farewell reports whether the child has said that it ends, and the failure it gave.
	farewell() (goodbye bool, failure error)
	// drain waits for what a process that has ended has still sent, for a short
	// while, and reports whether that was all.
	drain() bool
	// ask asks the child to end. It may take for ever, but not longer than the connection.
	ask(r wire.CancelRequest) error
	abort(why error)  // ends the connection at once
	refuse(why error) // fails new calls; it waits for nothing
	lose(why error)   // fails new calls and those in flight
	close(why error)  // aborts, loses, and waits for all that goes on
}

// linkConnection is the connection to an actor that was written with package sdk.
// It owns nothing: the incarnation has made both, and close ends what the table does.
type linkConnection struct {
	*pluginClient
	table *dialog.Table
}

func (c linkConnection) gone() <-chan struct{}             { return c.table.Link().Done() }
func (c linkConnection) breach() error                     { return c.table.Link().Err() }
func (c linkConnection) farewell() (goodbye bool, _ error) { return c.table.Link().Farewell() }
func (c linkConnection) abort(why error)                   { c.table.Link().Abort(why) }
func (c linkConnection) drain() bool                       { return closedWithin(c.gone(), drainBound) }

// ask sends the cancel request, whose ack comes when all of the actor's tasks have ended.
// It has no ctx and no deadline: the ladder stops waiting for it when its bound is over,
// and a late answer still counts then. The end of the link ends it in any case.
func (c linkConnection) ask(r wire.CancelRequest) error {
	args, err := cbor.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.table.CallRuntime(context.Background(), wire.CancelActor, args)
	return err
}

// refuse fails new calls over both: the link, and the main connection.
func (c linkConnection) refuse(why error) {
	c.pluginClient.refuse(why)
	c.table.Refuse(why)
}

func (c linkConnection) lose(why error) {
	c.pluginClient.lose(why)
	c.table.Lose(why)
}

// close ends the link before it fails the calls: when gone is closed, no frame can arrive
// any more, and no task can begin while Close waits for those that run. Calls that were
// lost before keep their reason. The main connection itself is closed by go-plugin, in
// release.
func (c linkConnection) close(why error) {
	c.abort(errors.New("the actor is gone"))
	<-c.gone()
	c.lose(why)
	c.table.Close()
}

// shutdownMethod is go-plugin's own request to end.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// foreignConnection is the connection to a foreign program: go-plugin's main connection
// alone. It owns a goroutine that watches it, until close. gRPC reports no loss of a
// connection by itself, and a call that fails says nothing about the next one: only the
// state of the connection, followed over time, shows that it is gone.
type foreignConnection struct {
	*pluginClient
	watched context.Context // ends with abort
	unwatch context.CancelFunc
	broken  chan struct{}
	watcher *task.Worker
}

func newForeignConnection(client *pluginClient) *foreignConnection {
	c := &foreignConnection{pluginClient: client, broken: make(chan struct{})}
	c.watched, c.unwatch = context.WithCancel(context.Background())
	c.watcher = task.Start(func() {
		defer close(c.broken)
		c.watch()
	})
	return c
}

// watch returns when the connection is lost for good, or abort was called. A server may
// close it for reasons of its own, as gRPC servers do with connections that have reached a
// maximum age, so that one that can be made again at once is not lost.
//
// An idle connection has been closed by the server, since the client's own idle timeout is
// off (pluginClient.dialOptions), and is made again here. The deadline begins with the
// first attempt that fails, and is forgotten only when the connection works: gRPC goes
// from failed to connecting and back, and must not have the whole bound again each time.
func (c *foreignConnection) watch() {
	var deadline time.Time
	for {
		state := c.conn.GetState()
		ctx, cancel := c.watched, context.CancelFunc(func() {})
		switch state {
		case connectivity.Ready:
			deadline = time.Time{}
		case connectivity.Idle:
			c.conn.Connect()
		case connectivity.TransientFailure:
			if deadline.IsZero() {
				deadline = time.Now().Add(reconnectBound)
			}
			ctx, cancel = context.WithDeadline(c.watched, deadline)
		case connectivity.Shutdown:
			return
		case connectivity.Connecting: // a program that hangs fails its health checks
		}
		changed := c.conn.WaitForStateChange(ctx, state)
		cancel()
		if !changed {
			return
		}
	}
}

// reconnectBound is how long a connection may take to be made again, counted from the
// first attempt that fails. A process that has died is known to be dead well before that.
const reconnectBound = time.Second

func (c *foreignConnection) gone() <-chan struct{} { return c.broken }

func (c *foreignConnection) breach() error {
	return errors.New("its gRPC connection broke and could not be made again")
}

// farewell is never said: a foreign program just exits.
func (c *foreignConnection) farewell() (goodbye bool, failure error) { return false, nil }

// drain has nothing to wait for: each call ends with the connection by itself.
func (c *foreignConnection) drain() bool { return true }

// errCannotBeAsked is the answer of a program that does not serve go-plugin's Shutdown.
// A signal is its request to end.
var errCannotBeAsked = errors.New("it has no way to be asked to end")

// ask makes go-plugin's server stop. go-plugin calls grpc.Server.Stop from inside this
// very call, which closes all connections under their running handlers, mostly before the
// answer is out: the loss of the connection is as good an answer. It is made by hand since
// the client that go-plugin generates is internal to it; going through plugin.Client.Kill
// instead would also kill the process, two seconds later.
func (c *foreignConnection) ask(wire.CancelRequest) error {
	err := c.shutdown(c.watched)
	switch status.Code(err) {
	case codes.Unavailable:
		return nil
	case codes.Unimplemented:
		return errCannotBeAsked
	default:
		return err
	}
}

func (c *foreignConnection) abort(error) { c.unwatch() }

// close waits for the watcher before it fails the calls, so that none of this process's
// goroutines is left when it returns.
func (c *foreignConnection) close(why error) {
	c.unwatch()
	c.watcher.Wait()
	c.lose(why)
}
