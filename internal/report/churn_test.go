package report_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// churn are actors that come and go on all levels of a chain, and who looks them up meanwhile.
type churn struct {
	*testing.T
	levels []*level
	over   atomic.Bool // all have come and gone
	ends   sync.Map    // of processes: actor.ID to the time of the clock
	clock  atomic.Int64
	found  atomic.Int64 // lookups with an answer
}

// asked is what a portal of this test fails with: it says which process was asked.
type asked struct{ id actor.ID }

func (a *asked) Error() string { return fmt.Sprintf("%s was asked", a.id) }

// comeAndGo is the life of one name, at one level: so many processes, which its portals tell apart.
func (c *churn) comeAndGo(l *level, name string, times int) {
	for range times {
		var now atomic.Pointer[actor.ID]
		m := l.own.Join(name, func(e directory.Entry) contract.Portal {
			return endpoint.Reach(func(context.Context) (t dialog.Target, err error) {
				if id := now.Load(); !id.Is(e.Actor) {
					return t, directory.ErrStale
				}
				return t, &asked{e.Actor}
			})
		})
		id := actor.NewID(name)
		now.Store(&id)
		for _, to := range []directory.State{directory.Waiting, directory.Starting, directory.Ready, directory.Stopping, directory.Reaped, directory.Gone} {
			m.Publish(directory.Event{Time: time.Now(), Actor: id, Epoch: 1, To: to})
			if to == directory.Stopping {
				c.ends.Store(id.UUID, c.clock.Add(1))
			}
			pause := 10 * time.Millisecond
			if to == directory.Ready {
				pause = 300 * time.Millisecond
			}
			time.Sleep(rand.N(pause))
		}
	}
}

// lookUp looks names up from a level, 250 times in a second, until all have come and gone.
func (c *churn) lookUp(l *level, names int) {
	for !c.over.Load() {
		time.Sleep(4 * time.Millisecond)
		name := fmt.Sprint("x", rand.IntN(names))
		begun := c.clock.Load()
		p, err := directory.Find(l.ctx, name)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			c.Errorf("D02: %v", err)
			return
		}
		c.found.Add(1)
		if end, ended := c.ends.Load(p.Entry.Actor.UUID); ended && end.(int64) <= begun && l == c.levels[host(p.Entry.Path)] {
			c.Errorf("D03: %q finds %s, which its own host has ended before", l.own.Path(), p.Entry.Actor)
		}
		_, err = p.Table(l.ctx)
		if who, ok := errors.AsType[*asked](err); ok && !who.id.Is(p.Entry.Actor) {
			c.Errorf("D03: %q has found %s, and its portal leads to %s", l.own.Path(), p.Entry.Actor, who.id)
		} else if !ok && !errors.Is(err, directory.ErrStale) && !errors.Is(err, directory.ErrNotReachable) && !errors.Is(err, errAsked) {
			c.Errorf("D03: %q calls %s: %v", l.own.Path(), p.Entry.Path, err)
		}
	}
}

// D03: 200 actors come and go 10 times under 1,000 lookups a second, and TRELLIS_ROUNDS times as often if that is set (make soak), on three levels: no portal leads
// to another process than the one that was found, no host finds what it has ended, and nothing is left.
func TestD03_Churn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const names = 200
		times := 10
		if n, err := strconv.Atoi(os.Getenv("TRELLIS_ROUNDS")); err == nil {
			times *= n
		}
		c := &churn{T: t, levels: chain(t, "a", "b")}
		var lives, lookers sync.WaitGroup
		for n := range names {
			lives.Go(func() { c.comeAndGo(c.levels[n%len(c.levels)], fmt.Sprint("x", n), times) })
		}
		for n := range 4 {
			lookers.Go(func() { c.lookUp(c.levels[n%len(c.levels)], names) })
		}
		lookers.Go(func() { c.watch() })
		lives.Wait()
		c.over.Store(true)
		time.Sleep(time.Minute) // what is told is taken at a pace
		c.levels[0].up("last")
		lookers.Wait()
		synctest.Wait()
		for _, l := range c.levels {
			left, err := directory.Query(l.ctx, "")
			if err != nil || len(left) != 3 {
				t.Errorf("D03: %q has %d entries, %v; want a, a/b and last", l.own.Path(), len(left), err)
			}
		}
		if c.found.Load() == 0 {
			t.Error("nobody has found anybody")
		}
		end(t, c.levels)
	})
}

// host is the level that hosts the actor at a path.
func host(path string) int { return strings.Count(path, "/") }

// watch checks that each actor is told ready before it is told gone, and gone before ready again.
func (c *churn) watch() {
	there := map[string]actor.ID{}
	for e, err := range directory.Watch(c.levels[2].ctx, "") {
		switch before, is := there[e.Path]; {
		case err != nil:
		case e.To == directory.Gone:
			if is && !before.Is(e.Actor) {
				c.Errorf("D07: %s is told gone, and %s was told ready", e.Actor, before)
			}
			delete(there, e.Path)
		case is && before.Is(e.Actor), is && e.Epoch == 1:
			c.Errorf("D07: %s is told ready, and %s has not been told gone", e.Actor, before)
		default:
			there[e.Path] = e.Actor
		}
		if e.Path == "last" {
			break
		}
	}
	if len(there) != 3 {
		c.Errorf("D07: of %v, some are not told gone; want a, a/b and last", there)
	}
}
