package host

import (
	"context"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// connection is what calls into a process that is up go over: go-plugin's main
// connection, and, for an actor that was written with package sdk, its link. It belongs
// to the process's incarnation, and ends with close.
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
type linkConnection struct {
	*pluginClient
	table *dialog.Table
}

func (c linkConnection) gone() <-chan struct{}             { return c.table.Link().Done() }
func (c linkConnection) breach() error                     { return c.table.Link().Err() }
func (c linkConnection) farewell() (goodbye bool, _ error) { return c.table.Link().Farewell() }
func (c linkConnection) abort(why error)                   { c.table.Link().Abort(why) }
func (c linkConnection) drain() bool                       { return closedWithin(c.gone(), drainBound) }

// ask sends the cancel request, whose ack comes when all of the actor's tasks have
// ended.
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

func (c linkConnection) close(why error) {
	c.abort(errors.New("the actor is gone"))
	<-c.gone()
	c.lose(why)
	c.table.Close()
}

// shutdownMethod is go-plugin's own request to end. Its messages have no fields.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// foreignConnection is the connection to a foreign program: go-plugin's main connection
// alone. It owns a goroutine that watches it, until close.
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

// watch returns when the connection is lost for good. A server may close it for
// reasons of its own, so that one that can be made again at once is not lost.
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

// reconnectBound is how long a connection may take to be made again.
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

// ask makes go-plugin's server stop. It does so under its running handlers, and
// mostly before it can answer, so that the loss of the connection is as good.
func (c *foreignConnection) ask(wire.CancelRequest) error {
	err := c.conn.Invoke(c.watched, shutdownMethod, &emptypb.Empty{}, &emptypb.Empty{})
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

func (c *foreignConnection) close(why error) {
	c.unwatch()
	c.watcher.Wait()
	c.lose(why)
}
