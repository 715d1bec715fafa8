package host

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// shutdownMethod is go-plugin's own request to end. Its messages have no fields.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// foreignConnection is the connection to a foreign program. It owns a goroutine that watches the
// connection, until close.
type foreignConnection struct {
	conn     *grpc.ClientConn
	ctx      context.Context // ends with close
	cancel   context.CancelFunc
	broken   chan struct{}
	watching *task.Worker
}

func newForeignConnection(conn *grpc.ClientConn) *foreignConnection {
	t := &foreignConnection{conn: conn, broken: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.watching = task.Start(func() {
		defer close(t.broken)
		t.watch()
	})
	return t
}

// watch returns when the connection is lost for good. A server may close it for
// reasons of its own, so that one that can be made again at once is not lost.
func (t *foreignConnection) watch() {
	var deadline time.Time
	for {
		state := t.conn.GetState()
		ctx, cancel := t.ctx, context.CancelFunc(func() {})
		switch state {
		case connectivity.Ready:
			deadline = time.Time{}
		case connectivity.Idle:
			t.conn.Connect()
		case connectivity.TransientFailure:
			if deadline.IsZero() {
				deadline = time.Now().Add(explainBound)
			}
			ctx, cancel = context.WithDeadline(t.ctx, deadline)
		case connectivity.Shutdown:
			return
		case connectivity.Connecting: // a program that hangs fails its health checks
		}
		changed := t.conn.WaitForStateChange(ctx, state)
		cancel()
		if !changed {
			return
		}
	}
}

func (t *foreignConnection) gone() <-chan struct{} { return t.broken }

func (t *foreignConnection) breach() error {
	return errors.New("its gRPC connection broke and could not be made again")
}

// farewell is never said: a foreign program just exits.
func (t *foreignConnection) farewell() (goodbye bool, failure error) { return false, nil }

// drain has nothing to wait for: each call ends with the connection by itself.
func (t *foreignConnection) drain() bool { return true }

// errCannotBeAsked is the answer of a program that does not serve go-plugin's Shutdown.
// A signal is its request to end.
var errCannotBeAsked = errors.New("it has no way to be asked to end")

// ask makes go-plugin's server stop. It does so under its running handlers, and
// mostly before it can answer, so that the loss of the connection is as good.
func (t *foreignConnection) ask(wire.CancelRequest) error {
	err := t.conn.Invoke(t.ctx, shutdownMethod, &emptypb.Empty{}, &emptypb.Empty{})
	switch status.Code(err) {
	case codes.Unavailable:
		return nil
	case codes.Unimplemented:
		return errCannotBeAsked
	default:
		return err
	}
}

func (t *foreignConnection) abort(error)  { t.cancel() }
func (t *foreignConnection) refuse(error) {}
func (t *foreignConnection) lose(error)   {}

func (t *foreignConnection) close(error) {
	t.cancel()
	t.watching.Wait()
}
