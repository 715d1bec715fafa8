package trellis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// raisesOpener is the opener of one cell, and what it saw.
type raisesOpener struct {
	raisesCell

	stage  *raisesStage
	side   *contract.Opener[string, string, string, string]
	opens  *task.Worker
	cancel context.CancelCauseFunc
	value  string
	err    error // of the scope
	failed error // the cell could not be played
}

const entered = "entered" // the opener's function does what the cell says

// place opens the context and returns when both sides do what the cell says.
func (s *raisesStage) place(c raisesCell) *raisesOpener {
	ctx, cancel := context.WithCancelCause(s.ctx)
	o := &raisesOpener{raisesCell: c, stage: s, cancel: cancel}
	o.opens = task.Start(func() {
		defer func() {
			if r := recover(); r != nil {
				o.err = fmt.Errorf("%w: %v", errPanicWentOn, r)
			}
		}()
		o.value, o.err = raisesPlay.Open(ctx, s.plugin, c, o.body)
	})
	o.failed = o.settle()
	return o
}

func (o *raisesOpener) settle() error {
	if err := o.await(placed); err != nil {
		return err
	}
	if o.Opener != "before Started" {
		if err := awaitPoint(o.stage.ctx, o.stage.here.of(o.ID, entered)); err != nil {
			return err
		}
	}
	o.stage.here.reach(o.ID, begin)
	if err := o.tell(begin); err != nil {
		return err
	}
	if o.Opener == "sending, blocked" {
		if err := awaitPoint(o.stage.ctx, o.stage.here.of(o.ID, full)); err != nil {
			return err
		}
	}
	if o.Callee == "sending, blocked" {
		return o.await(full)
	}
	return nil
}

func (o *raisesOpener) tell(what string) error {
	_, err := raisesTell.Call(o.stage.ctx, o.stage.plugin, raisesPoint{o.ID, what})
	return err
}

func (o *raisesOpener) await(what string) error {
	_, err := raisesAwait.Call(o.stage.ctx, o.stage.plugin, raisesPoint{o.ID, what})
	return err
}

// body is the opener's function.
func (o *raisesOpener) body(ctx context.Context, side *contract.Opener[string, string, string, string]) error {
	o.side = side
	if o.openerOpens() {
		s, err := side.Stream(contract.StreamOptions{})
		if err != nil {
			return err
		}
		useStream(side.Go, o.Opener, s, &o.stage.here, o.ID)
		if o.Opener == "stream closed" {
			s.Close()
		}
	}
	if o.Callee == "returned" {
		if v, err := side.Wait(ctx); v != "value" || err != nil {
			return fmt.Errorf("got %q and %w, want the value", v, err)
		}
	}
	o.stage.here.reach(o.ID, entered)
	if o.Opener == "returned" {
		return nil
	}
	<-o.stage.here.of(o.ID, trigger)
	switch o.Who {
	case "the opener's function fails":
		return errRaisesBoom
	case "the opener's function panics":
		panic("boom")
	}
	if o.Callee == "returned" && o.Who == "the link is lost" {
		<-o.stage.table.Link().Done() // it does not interrupt a dialog that has its value
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// set lets go of both sides, which are in place.
func (o *raisesOpener) set() {
	if o.failed == nil {
		o.failed = o.tell(trigger)
	}
	o.stage.here.reach(o.ID, trigger)
}

// end does what ends the cell, and returns when the scope has ended.
func (o *raisesOpener) end() {
	if o.failed != nil {
		o.cancel(o.failed)
	}
	switch o.Who {
	case "Cancel is called on the context":
		o.failed = errors.Join(o.failed, o.side.Cancel(o.stage.ctx, "asked"))
	case "the opener's ctx ends":
		o.cancel(errRaisesUser)
	}
	o.opens.Wait()
	o.cancel(nil)
}

// check compares what both sides saw with what they must see.
func (o *raisesOpener) check(t *testing.T, cause string) {
	if o.failed != nil {
		t.Fatal(o.failed)
	}
	self, peer := o.stage.table.Self(), o.stage.table.Peer()
	words := func(err error, none string) string { return raisesWords(err, none, self, self, peer) }
	if got := words(o.err, "nil"); got != o.scope {
		t.Errorf("the scope: got %s, want %s", got, o.scope)
	}
	if o.wait != "-" {
		value, err := o.side.Wait(t.Context())
		if got := words(err, "the value"); got != o.wait {
			t.Errorf("Wait: got %s, want %s", got, o.wait)
		}
		if o.wait == "the value" && (value != "value" || o.err == nil && o.value != "value") {
			t.Errorf("Wait gives %q and the scope %q, want the value", value, o.value)
		}
	}
	if cause != o.cause {
		t.Errorf("the callee's cause: got %s, want %s", cause, o.cause)
	}
}
