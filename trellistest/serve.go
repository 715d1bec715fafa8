package trellistest

import (
	"cmp"
	"errors"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Actor is an actor inside the test's process, and a [contract.Portal] to it. It belongs to
// the test that it was started for and ends with it. All methods may be called at any time,
// from any goroutine.
type Actor struct {
	endpoint.Reach
	id      actor.ID
	callers *dialog.Table // the parent's end of the link
	served  *dialog.Table // the actor's
}

// ID is the actor's identity, which sdk.Self gives to its handlers.
func (a *Actor) ID() actor.ID { return a.id }

// Serve starts an actor that serves endpoints, for as long as t runs.
func Serve(t testing.TB, endpoints ...contract.Handler) *Actor {
	t.Helper()
	return Plugin{Endpoints: endpoints}.Serve(t)
}

// Serve starts an actor of this plugin, for as long as t runs.
func (p Plugin) Serve(t testing.TB) *Actor {
	t.Helper()
	id, parent := actor.NewID(cmp.Or(p.Name, "actor")), actor.NewID("test")
	exposed, err := endpoint.Expose(id, p.Endpoints...)
	if err != nil {
		t.Fatal(err)
	}
	offered, err := endpoint.Expose(parent, p.Parent...)
	if err != nil {
		t.Fatal(err)
	}
	here, there := link.Pipe()
	a := &Actor{
		id:      id,
		callers: dialog.NewTable(link.New(here, link.Config{Self: parent}), dialog.Config{Accept: offered.Accept}),
		served:  dialog.NewTable(link.New(there, link.Config{Self: id, Dialled: true}), dialog.Config{Accept: exposed.Accept}),
	}
	a.Reach = endpoint.To(a.callers)
	<-a.callers.Link().Greeted()
	<-a.served.Link().Greeted()
	t.Cleanup(func() { a.end(t) })
	return a
}

// end ends the link and waits for both ends. A dialog that is left is the test's failure.
func (a *Actor) end(t testing.TB) {
	t.Helper()
	a.served.Link().Close(nil)
	for _, table := range []*dialog.Table{a.served, a.callers} {
		<-table.Link().Done()
		table.Lose(errors.New("the test has ended"))
		table.Close()
		if n := table.Len(); n != 0 {
			t.Errorf("%d contexts of %s are left when its test ends", n, table.Self())
		}
	}
}
