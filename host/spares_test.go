package host

import (
	"fmt"
	"slices"
	"testing"
)

// String names the action in failures.
func (k spareActionKind) String() string {
	return [...]string{"start", "end", "pause", "give up", "linger"}[k]
}

// The table of spares against every order of events: this is the world around it, which carries
// out its actions as a standby does.
type larder struct {
	table   spares
	alive   []int // spares that are coming or wait, and were not told to end
	ending  []int // told to end, and not reaped
	ready   []int // of alive, those that can be taken
	pauses  int
	lingers int
	owed    bool // one was taken, and no actor has come up since
	gaveUp  bool
	spoiled string
}

func (l *larder) clone() *larder {
	c := *l
	c.table.waiting = slices.Clone(l.table.waiting)
	c.alive, c.ending, c.ready = slices.Clone(l.alive), slices.Clone(l.ending), slices.Clone(l.ready)
	return &c
}

// key is what makes two larders the same: of the numbers of spares only their order counts.
func (l *larder) key() string {
	all := slices.Sorted(slices.Values(slices.Concat(l.alive, l.ending)))
	ranks := func(numbers ...int) (ranks []int) {
		for _, n := range numbers {
			ranks = append(ranks, slices.Index(all, n))
		}
		return ranks
	}
	t := l.table
	return fmt.Sprint(t.users, t.joined, t.unused, ranks(t.coming), ranks(t.waiting...), t.proven, t.pausing, t.failures, t.lingering, t.over,
		ranks(l.alive...), ranks(l.ending...), ranks(l.ready...), l.pauses, l.lingers, l.gaveUp, l.owed)
}

func (l *larder) spoil(format string, args ...any) {
	if l.spoiled == "" {
		l.spoiled = fmt.Sprintf(format, args...)
	}
}

// do carries out actions, and checks each against the rules.
func (l *larder) do(actions []spareAction) {
	for _, a := range actions {
		switch a.kind {
		case spareStart:
			switch {
			case l.table.over:
				l.spoil("spare %d starts after the end", a.n)
			case !l.table.proven:
				l.spoil("spare %d starts before an actor has come up", a.n)
			case l.pauses > 0:
				l.spoil("spare %d starts in a pause", a.n)
			case len(l.alive) != len(l.ready):
				l.spoil("spare %d starts beside another one", a.n)
			}
			l.alive, l.gaveUp = append(l.alive, a.n), false
		case spareEnd:
			i := slices.Index(l.alive, a.n)
			if i < 0 {
				l.spoil("spare %d is ended and does not live", a.n)
				return
			}
			l.alive, l.ending = slices.Delete(l.alive, i, i+1), append(l.ending, a.n)
			l.ready = slices.DeleteFunc(l.ready, func(n int) bool { return n == a.n })
		case sparePause:
			l.pauses++
			if a.n < 1 || a.n > l.table.most {
				l.spoil("a pause after %d failures", a.n)
			}
		case spareGiveUp:
			if l.gaveUp {
				l.spoil("it is given up twice")
			}
			l.gaveUp = true
		case spareLinger:
			l.lingers++
		}
	}
	if l.lingers > 1 || l.pauses > 1 {
		l.spoil("%d lingers and %d pauses go on", l.lingers, l.pauses)
	}
	if len(l.alive) > l.table.want {
		l.spoil("%d spares, expected at most %d", len(l.alive), l.table.want)
	}
	if l.table.over && len(l.alive) > 0 {
		l.spoil("%d spares live after the end", len(l.alive))
	}
}

// losses are what is told of the end of a spare.
var losses = []struct{ stable, lasting bool }{{}, {stable: true}, {lasting: true}}

// moves are all larders that may follow.
func (l *larder) moves() (next map[string]*larder) {
	next = map[string]*larder{}
	move := func(name string, do func(c *larder)) {
		c := l.clone()
		do(c)
		next[name] = c
	}
	if l.table.joined < 3 && !l.table.over {
		move("join", func(c *larder) { c.do(c.table.join()) })
	}
	if l.table.users > 0 {
		move("up", func(c *larder) { c.owed, c.gaveUp = false, false; c.do(c.table.up()) })
		move("leave", func(c *larder) { c.do(c.table.leave()) })
		move("take", (*larder).take)
		if l.owed && len(l.ending) == 0 { // else the processes that still end would be without number
			move("unfit", func(c *larder) {
				c.do(c.table.unfit())
				if len(c.alive) > 0 {
					c.spoil("%v live beside one that was not fit", c.alive)
				}
			})
		}
	}
	for _, n := range l.alive {
		if !slices.Contains(l.ready, n) {
			move(fmt.Sprint("ready ", n), func(c *larder) {
				c.ready = append(c.ready, n)
				c.do(c.table.ready(n))
			})
		}
		for _, how := range losses {
			move(fmt.Sprint("lost ", n, how), func(c *larder) {
				c.alive = slices.DeleteFunc(c.alive, func(m int) bool { return m == n })
				c.ready = slices.DeleteFunc(c.ready, func(m int) bool { return m == n })
				c.do(c.table.lost(n, how.stable, how.lasting))
			})
		}
	}
	for _, n := range l.ending { // its readiness may be on its way
		move(fmt.Sprint("late ", n), func(c *larder) { c.do(c.table.ready(n)) })
		move(fmt.Sprint("reaped ", n), func(c *larder) {
			c.ending = slices.DeleteFunc(c.ending, func(m int) bool { return m == n })
			failures := c.table.failures
			c.do(c.table.lost(n, false, false))
			if c.table.failures != failures {
				c.spoil("%d was told to end, and counts as a failure", n)
			}
		})
	}
	if l.pauses > 0 {
		move("resume", func(c *larder) { c.pauses--; c.do(c.table.resume()) })
	}
	if l.lingers > 0 {
		move("lingered", func(c *larder) { c.lingers--; c.do(c.table.lingered()) })
	}
	move("close", func(c *larder) { c.do(c.table.close()) })
	return next
}

// take: what is taken can be used, and is nobody else's.
func (l *larder) take() {
	n := l.table.take()
	if n == 0 {
		if len(l.ready) > 0 {
			l.spoil("none of %v can be taken", l.ready)
		}
		return
	}
	if !slices.Contains(l.ready, n) {
		l.spoil("spare %d was taken, and only %v are ready", n, l.ready)
	}
	l.owed = true
	l.alive = slices.DeleteFunc(l.alive, func(m int) bool { return m == n })
	l.ready = slices.DeleteFunc(l.ready, func(m int) bool { return m == n })
}

// settled: when nothing goes on any more, all spares that are wanted are there, unless they are
// given up, or nothing has proved that they can come up.
func (l *larder) settled() {
	t := l.table
	if t.over || !t.proven || l.gaveUp || l.pauses > 0 || len(l.alive) != len(l.ready) || l.owed {
		return
	}
	if len(l.ready) != t.want {
		l.spoil("%d spares are ready and nothing goes on, expected %d", len(l.ready), t.want)
	}
}

func TestEveryOrderOfEventsOfSpares(t *testing.T) {
	t.Parallel()
	for _, limits := range []struct{ want, most int }{{1, 1}, {2, 1}, {2, 2}, {3, 1}} {
		first := &larder{table: spares{want: limits.want, most: limits.most}}
		seen, todo := map[string]bool{first.key(): true}, []*larder{first}
		trace := map[string]string{}
		for len(todo) > 0 {
			l := todo[0]
			todo = todo[1:]
			for name, next := range l.moves() {
				next.settled()
				if next.spoiled != "" {
					t.Fatalf("want %d, most %d: %s\nafter%s, %s", limits.want, limits.most, next.spoiled, trace[l.key()], name)
				}
				if key := next.key(); !seen[key] {
					seen[key], trace[key] = true, trace[l.key()]+", "+name
					todo = append(todo, next)
				}
			}
		}
		t.Logf("want %d, most %d: %d states", limits.want, limits.most, len(seen))
	}
}
