package dialog_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/route"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// grove is a tree of actors inside this process, with links between hosts and hosted ones, and the routers of
// real ones. The first actor is the root.
type grove []*growing

// growing is an actor of a grove. It is what its router knows of those below.
type growing struct {
	route.Router
	path string
	down map[string]*dialog.Table // to those that it hosts, by their paths
	warn warnings
}

func (g *growing) Path() string         { return g.path }
func (g *growing) Has(path string) bool { return treepath.IsBelow(path, g.path) }

func (g *growing) Entries(context.Context, string) ([]directory.Entry, error) { return nil, nil }

func (g *growing) Where(actor.ID) (string, bool) { return "", false }

func (g *growing) Portal(e directory.Entry) contract.Portal {
	return endpoint.Reach(func(context.Context) (to dialog.Target, err error) {
		for path, table := range g.down {
			if e.Path == path {
				return table.To(nil), nil
			}
			if treepath.IsBelow(e.Path, path) {
				return table.To(&wire.Address{Path: e.Path, Actor: wire.FromID(e.Actor)}), nil
			}
		}
		return to, directory.ErrNotFound
	})
}

// plant makes a grove of actors with these names, each of which but the first is hosted by an earlier one.
func plant(s setup, names []string, hosts []int, served func(at int) tasks) (all grove) {
	for i, name := range names {
		g := &growing{path: name, down: map[string]*dialog.Table{}}
		g.Self, g.Down = actor.NewID(name), g
		all = append(all, g)
		if i == 0 {
			g.path, g.Root = "", g.Self
			continue
		}
		host := all[hosts[i]]
		g.path = treepath.Join(host.path, name)
		g.Parent, g.Root = host.Self, all[0].Self
		a, b := pipe.New()
		s.route = func(start *wire.Start) (*dialog.Table, error) { return host.FromChild(start, g.path, g.Self) }
		host.down[g.path] = s.table(a, link.Config{Self: host.Self, Log: slog.New(&host.warn)}, served(hosts[i]))
		s.route = g.FromParent
		g.Up = s.table(b, link.Config{Self: g.Self, Log: slog.New(&g.warn), Dialled: true}, served(i))
		<-host.down[g.path].Link().Greeted()
		<-g.Up.Link().Greeted()
	}
	return all
}

// reach leads from one actor to another one.
func (all grove) reach(from, to int) dialog.Target {
	t, err := all[from].To(all[to].path, all[to].Self)(context.Background())
	if err != nil {
		panic(err)
	}
	return t
}

// fell ends all links in order, and gives how many dialogs are left.
func (all grove) fell() (left int) {
	var tables []*dialog.Table
	for _, g := range all[1:] {
		g.Up.Link().Close(nil)
		tables = append(tables, g.Up)
	}
	for _, g := range all {
		for _, table := range g.down {
			tables = append(tables, table)
		}
	}
	for _, table := range tables {
		<-table.Link().Done()
		table.Lose(errTestOver)
		table.Close()
		left += table.Len()
	}
	return left
}

func (all grove) violations() (n int64) {
	for _, g := range all {
		n += g.warn.n.Load()
	}
	return n
}

// A program of tasks in any actors of any tree comes to what the model says, as one over a chain does.
func TestRandomProgramsOverRelaysFailAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names, hosts, levels := []string{"root"}, []int{0}, []int{0}
		for i := range rapid.IntRange(1, 5).Draw(r, "actors") {
			host := rapid.IntRange(0, i).Filter(func(at int) bool { return levels[at] < depth }).Draw(r, "host")
			names, hosts, levels = append(names, fmt.Sprintf("actor%d", i+1)), append(hosts, host), append(levels, levels[host]+1)
		}
		top := programs(depth-1).Draw(r, "program")
		c := &chain{}
		top.number(&c.all, top.anyFails())
		top.place(r, len(names), 0)
		all := plant(setup{patience: wide}, names, hosts, func(at int) tasks {
			return tasks{"task": func(ctx context.Context, d *dialog.Dialog) ([]byte, error) { return c.run(ctx, d, at) }}
		})
		c.reach = func(from int, p *program) dialog.Target { return all.reach(from, p.at) }
		err := c.open(context.Background(), 0, top, false)
		for _, g := range all[1:] {
			g.Up.Wait()
		}
		if n := all.fell(); n != 0 {
			r.Errorf("C15: %d dialogs are left", n)
		}
		if n := all.violations(); n != 0 {
			r.Errorf("F06: %d warnings of honest actors", n)
		}
		c.judge(r, top, err, "")
	})
}

// place draws where each task runs: anywhere but in the root for the root, which has no link to itself.
func (p *program) place(r *rapid.T, actors, from int) {
	p.at = rapid.IntRange(0, actors-1).Filter(func(at int) bool { return at+from > 0 }).Draw(r, "actor")
	for _, child := range p.children {
		child.place(r, actors, p.at)
	}
}
