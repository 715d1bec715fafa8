package life

import (
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// R2: N17: a host that is stopped cannot answer the goodbye of a plugin that ends by itself, and
// does not hold it: its exit hooks, and its end, come afterwards.
func TestR2_N17_AFrozenHostDoesNotHoldItsPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, _ := link.Pipe() // nobody reads or writes at its other end
		l := New(Config{})
		l.table = dialog.NewTable(link.New(here, link.Config{Self: actor.ID{Name: "here"}, Dialled: true}), dialog.Config{Base: t.Context()})
		l.closeLink(nil)
		if l.table.Link().Err() == nil {
			t.Error("the link has ended in order")
		}
		l.table.Lose(fault.ErrActorClosing)
		l.table.Close()
	})
}
