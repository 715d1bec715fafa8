package dialog_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// trio is three actors in a row inside this process. Those at the ends open dialogs with each other, which
// the one between them relays.
type trio struct {
	first, last     *dialog.Table // of the ends
	near, far       *dialog.Table // of the relay, towards first and last
	warns           warnings      // of the ends
	relayWarns      warnings      // of the relay
	relay           actor.ID
	firstID, lastID actor.ID
	toFirst, toLast *wire.Address
	toItself        bool // the first actor opens dialogs with itself
}

// newTrio makes a trio whose ends serve the same. It ends, and leaves nothing, with the test.
func newTrio(t testing.TB, served tasks, with ...func(*setup)) *trio {
	t.Helper()
	s := setup{limits: link.Config{}}
	for _, w := range with {
		w(&s)
	}
	c := &trio{relay: actor.NewID("relay"), firstID: actor.NewID("first"), lastID: actor.NewID("last")}
	c.toFirst = &wire.Address{Path: "first", Actor: wire.FromID(c.firstID)}
	c.toLast = &wire.Address{Path: "last", Actor: wire.FromID(c.lastID)}
	c.connect(&s, served)
	t.Cleanup(func() { c.end(t) })
	return c
}

// connect makes the tables. A relay's table reads before the other one is made, and so nobody opens a
// dialog before all are there.
func (c *trio) connect(s *setup, served tasks) {
	var end setup
	here(&end)
	a, b := pipe.New()
	d, e := pipe.New()
	warns, relay := slog.New(&c.warns), slog.New(&c.relayWarns)
	c.near = s.routed(b, link.Config{Self: c.relay, Log: relay}, nil, func(start *wire.Start) (*dialog.Table, error) {
		if start.Opener = c.toFirst; c.toItself {
			return c.near, nil
		}
		return c.far, nil
	})
	c.far = s.routed(d, link.Config{Self: c.relay, Log: relay}, nil, func(start *wire.Start) (*dialog.Table, error) {
		start.Opener = c.toLast
		return c.near, nil
	})
	c.first = s.routed(a, link.Config{Self: c.firstID, Log: warns, Dialled: true}, served, end.route)
	limits := s.limits
	limits.Self, limits.Log, limits.Dialled = c.lastID, warns, true
	c.last = s.routed(e, limits, served, end.route)
	for _, table := range c.all() {
		<-table.Link().Greeted()
	}
}

// routed is table for an actor that relays, or is relayed to.
func (s *setup) routed(tr link.Transport, cfg link.Config, served tasks, route func(*wire.Start) (*dialog.Table, error)) *dialog.Table {
	s.route = route
	return s.table(tr, cfg, served)
}

func (c *trio) all() []*dialog.Table { return []*dialog.Table{c.first, c.near, c.far, c.last} }

// end closes the links, and looks for what is left.
func (c *trio) end(t testing.TB) {
	c.first.Link().Close(nil)
	c.last.Link().Close(nil)
	for _, table := range c.all() {
		<-table.Link().Done()
		table.Lose(errTestOver)
		table.Close()
		if n := table.Len(); n != 0 {
			t.Errorf("C15: %s: %d dialogs left in the table", table.Self(), n)
		}
	}
	if n := c.relayWarns.n.Load(); n != 0 {
		t.Errorf("F06: the relay has warned %d times of peers that did what they may", n)
	}
}

// kill cuts the link of an end, as its death does.
func kill(table *dialog.Table) { table.Link().Abort(errBoom) }

// open runs a scope on the endpoint "task" of the last actor, from the first.
func (c *trio) open(ctx context.Context, run body) error {
	to := c.toLast
	if c.toItself {
		to = c.toFirst
	}
	return open(ctx, c.first.To(to), run)
}

// call runs the Func "task" of the last actor, from the first.
func (c *trio) call(ctx context.Context, args []byte) ([]byte, error) {
	return c.first.To(c.toLast).Call(ctx, &dialog.Request{Endpoint: "task", Kind: dialog.Func, Args: args})
}
