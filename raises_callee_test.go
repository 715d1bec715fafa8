package trellis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// What the plugin serves: a cell's callee, and the strings that it is pulled by.
var (
	raisesPlay  = contract.Context[raisesCell, string, string, string, string]("play")
	raisesTell  = contract.Func[raisesPoint, struct{}]("tell")
	raisesAwait = contract.Func[raisesPoint, struct{}]("await")
	raisesStats = contract.Func[struct{}, dialog.Stats]("stats")
)

// raisesPoint is something that happens once while a cell is played.
type raisesPoint struct {
	Cell int
	What string // one of those below
}

const (
	placed  = "placed"  // the callee does what the cell says
	begin   = "begin"   // both have opened what they open: who sends begins
	full    = "full"    // the next Send waits
	trigger = "trigger" // both are in place
)

// points are the events of all cells in one process.
type points struct {
	mu sync.Mutex
	at map[raisesPoint]chan struct{}
}

// of returns the channel that is closed when the point comes.
func (p *points) of(cell int, what string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[raisesPoint]chan struct{}{}
	}
	key := raisesPoint{cell, what}
	if p.at[key] == nil {
		p.at[key] = make(chan struct{})
	}
	return p.at[key]
}

func (p *points) reach(cell int, what string) { close(p.of(cell, what)) }

// raisesPlugin is the plugin's whole program.
func raisesPlugin() {
	var here points
	sdk.Serve(
		raisesTell.Handle(func(_ context.Context, p raisesPoint) (none struct{}, _ error) {
			here.reach(p.Cell, p.What)
			return none, nil
		}),
		raisesAwait.Handle(func(ctx context.Context, p raisesPoint) (none struct{}, _ error) {
			return none, awaitPoint(ctx, here.of(p.Cell, p.What))
		}),
		raisesStats.Handle(func(ctx context.Context, _ struct{}) (dialog.Stats, error) {
			table, err := sdk.Parent(ctx).Table(ctx)
			if err != nil {
				return dialog.Stats{}, err
			}
			return table.Stats(), nil
		}),
		raisesPlay.Handle(func(ctx context.Context, c raisesCell, side *contract.Callee[string, string, string]) (string, error) {
			return (&raisesCallee{c, side, &here}).play(ctx)
		}),
	)
}

func awaitPoint(ctx context.Context, point <-chan struct{}) error {
	select {
	case <-point:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// raisesCallee is the callee of one cell.
type raisesCallee struct {
	raisesCell

	side *contract.Callee[string, string, string]
	here *points
}

var errRaisesBoom = errors.New("boom")

func (c *raisesCallee) play(ctx context.Context) (string, error) {
	if c.Callee != "before Started" {
		if err := c.side.Started("started"); err != nil {
			return "", err
		}
	}
	if c.calleeOpens() {
		if err := c.takeStream(ctx); err != nil {
			return "", err
		}
	}
	c.here.reach(c.ID, placed)
	if c.Callee == "returned" {
		return "value", nil
	}
	<-c.here.of(c.ID, trigger)
	switch c.Who {
	case "the callee fails":
		return "", errRaisesBoom
	case "the callee panics":
		panic("boom")
	case "the callee calls Cancel":
		if err := c.side.Cancel(ctx, "asked"); err != nil {
			return "", fmt.Errorf("the callee's Cancel: %w", err)
		}
		if c.Opener == "returned" {
			return "value", nil
		}
	}
	<-ctx.Done()
	if err := c.record(ctx); err != nil {
		return "", err
	}
	return "", ctx.Err()
}

// takeStream opens the callee's end and does with it what the cell says. An opener
// that has returned closes the stream, which is how the callee knows.
func (c *raisesCallee) takeStream(ctx context.Context) error {
	s, err := c.side.Stream(contract.StreamOptions{})
	if err != nil {
		return err
	}
	useStream(c.side.Go, c.Callee, s, c.here, c.ID)
	if c.Opener == "returned" && c.Callee != "receiving" {
		if _, err := s.Recv(ctx); !errors.Is(err, io.EOF) {
			return fmt.Errorf("receive after the opener has returned: %w, want EOF", err)
		}
	} else if c.Opener == "returned" {
		<-c.here.of(c.ID, "end of stream")
	}
	if c.Callee == "stream closed" {
		s.Close()
	}
	return nil
}

// useStream runs what a side does with its stream in a task of its own.
func useStream(run func(func(context.Context) error) bool, doing string, s *contract.Stream[string, string], here *points, cell int) {
	switch doing {
	case "sending, blocked":
		run(func(ctx context.Context) error {
			<-here.of(cell, begin)
			for i := 0; ; i++ {
				if i == dialog.DefaultMessages { // there is room for no more
					here.reach(cell, full)
				}
				if err := s.Send(ctx, "m"); err != nil {
					return nil //nolint:nilerr // what ends the context is told by the scope
				}
			}
		})
	case "receiving":
		run(func(ctx context.Context) error {
			_, err := s.Recv(ctx)
			if errors.Is(err, io.EOF) {
				here.reach(cell, "end of stream")
			}
			return nil // the same
		})
	}
}

// record writes down why the callee's ctx has ended, in one write.
func (c *raisesCallee) record(ctx context.Context) error {
	self := sdk.Self(ctx)
	line := fmt.Sprintf("%d|%s\n", c.ID, raisesWords(context.Cause(ctx), "-", self, c.side.Peer(), self))
	f, err := os.OpenFile(os.Getenv(raisesCauses), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

var (
	errRaisesUser  = errors.New("the user's cause")
	errPanicWentOn = errors.New("the panic went on")
	raisesThird    = actor.ID{Name: "third", UUID: "3d0e7a52-0000-4000-8000-000000000003"}
)

// raisesWords names an error as the rules do. An error that has not crossed over
// arose here.
func raisesWords(err error, none string, here, opener, callee actor.ID) string {
	cancelled, isCancel := fault.Cancelled(err)
	_, panicked := errors.AsType[*fault.PanicError](err)
	if remote, ok := errors.AsType[*fault.RemoteError](err); ok {
		here = remote.Origin
	}
	switch {
	case err == nil:
		return none
	case errors.Is(err, errPanicWentOn):
		return "the panic goes on"
	case isCancel:
		return "cancelled by " + raisesName(cancelled.Canceller, opener, callee)
	case errors.Is(err, fault.ErrActorLost):
		return "LinkLost"
	case strings.Contains(err.Error(), errRaisesUser.Error()):
		return "the ctx's cause"
	case panicked:
		return raisesName(here, opener, callee) + "'s panic"
	case strings.Contains(err.Error(), errRaisesBoom.Error()):
		return raisesName(here, opener, callee) + "'s failure"
	}
	return err.Error()
}

func raisesName(id, opener, callee actor.ID) string {
	switch {
	case id.Is(opener):
		return "the opener"
	case id.Is(callee):
		return "the callee"
	case id.Is(raisesThird):
		return "a third actor"
	}
	return id.String()
}
