package contract_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// portal leads to an actor inside this process.
type portal struct {
	table *dialog.Table // the caller's
	child actor.ID
}

func (p portal) Table(context.Context) (*dialog.Table, error) { return p.table, nil }

// expose links a caller with an actor that serves the handlers; both are gone at
// the end of the test, and leave nothing.
func expose(t testing.TB, handlers ...contract.Handler) portal {
	t.Helper()
	a, b := link.Pipe()
	child := actor.NewID("child")
	served, err := contract.Expose(child, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	caller := dialog.NewTable(link.New(a, link.Config{Self: actor.NewID("caller")}), dialog.Config{})
	callee := dialog.NewTable(link.New(b, link.Config{Self: child, Dialled: true}), dialog.Config{Accept: served.Accept})
	<-caller.Link().Greeted()
	<-callee.Link().Greeted()
	t.Cleanup(func() {
		callee.Link().Close(nil)
		for _, table := range []*dialog.Table{callee, caller} {
			<-table.Link().Done()
			table.Lose(errors.New("the test is over"))
			table.Close()
			if n := table.Len(); n != 0 {
				t.Errorf("C15: %s: %d dialogs left", table.Self(), n)
			}
		}
	})
	return portal{caller, child}
}

// errBoom is a failure of a task, as good as any.
var errBoom = errors.New("boom")

func init() { fault.Sentinel("contract_test.boom", errBoom) }

// misfit gives err's ContractError.
func misfit(t testing.TB, err error) *fault.ContractError {
	t.Helper()
	c, ok := errors.AsType[*fault.ContractError](err)
	if !ok {
		t.Fatalf("got %v, want a ContractError", err)
	}
	return c
}
