package contract_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// here is a portal to an actor inside this process.
type here struct{ table *dialog.Table }

func (h here) Table(context.Context) (*dialog.Table, error) { return h.table, nil }

// serve gives a portal to an actor that serves handlers, for as long as the test
// runs. When the test ends, no dialog may be left.
func serve(t testing.TB, handlers ...contract.Handler) contract.Portal {
	t.Helper()
	a, b := link.Pipe()
	callee := actor.NewID("callee")
	exposed, err := contract.Expose(callee, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	server := dialog.NewTable(link.New(a, link.Config{Self: callee}), dialog.Config{Accept: exposed.Accept})
	client := dialog.NewTable(link.New(b, link.Config{Self: actor.NewID("caller"), Dialled: true}), dialog.Config{})
	<-client.Link().Greeted()
	<-server.Link().Greeted()
	t.Cleanup(func() {
		client.Link().Close(nil)
		<-client.Link().Done()
		<-server.Link().Done()
		for _, table := range []*dialog.Table{client, server} {
			table.Lose(errors.New("the test is over"))
			table.Close()
			if n := table.Len(); n != 0 {
				t.Errorf("C15: %d dialogs are left at %s", n, table.Self())
			}
		}
	})
	return here{client}
}
