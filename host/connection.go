package host

import (
	"context"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// connection is what a child that is up hangs on besides its process: its link, or, for a
// foreign program, go-plugin's main connection alone.
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
	refuse(why error) // fails new calls
	lose(why error)   // fails new calls and those in flight
	close(why error)  // aborts, loses, and waits for all that goes on
}

// linkConnection is the connection to an actor that was written with package sdk.
type linkConnection struct{ table *dialog.Table }

func (t linkConnection) gone() <-chan struct{}             { return t.table.Link().Done() }
func (t linkConnection) breach() error                     { return t.table.Link().Err() }
func (t linkConnection) farewell() (goodbye bool, _ error) { return t.table.Link().Farewell() }
func (t linkConnection) abort(why error)                   { t.table.Link().Abort(why) }
func (t linkConnection) refuse(why error)                  { t.table.Refuse(why) }
func (t linkConnection) lose(why error)                    { t.table.Lose(why) }
func (t linkConnection) drain() bool                       { return closedWithin(t.gone(), drainBound) }

// ask sends the cancel request, whose ack comes when all of the actor's tasks have
// ended.
func (t linkConnection) ask(r wire.CancelRequest) error {
	args, err := cbor.Marshal(r)
	if err != nil {
		return err
	}
	_, err = t.table.CallRuntime(context.Background(), wire.CancelActor, args)
	return err
}

func (t linkConnection) close(why error) {
	t.abort(errors.New("the actor is gone"))
	<-t.gone()
	t.lose(why)
	t.table.Close()
}

// closedWithin reports whether done is closed within the bound.
func closedWithin(done <-chan struct{}, bound time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(bound):
		return false
	}
}
