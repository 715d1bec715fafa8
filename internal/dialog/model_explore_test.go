package dialog

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// op is one thing that may happen next in a world. What is fair happens sooner or
// later if nothing else does; all the rest may never happen.
type op struct {
	name string
	fair func(w *world) bool // nil: always
	can  func(w *world) bool
	do   func(w *world)
}

// report is what an exploration found.
type report struct {
	states, moves int
	finished      int // states in which all is over
	broken        string
	trace         []string // how to get there, a shortest way
}

func (r *report) String() string {
	return fmt.Sprintf("%d states, %d moves, %d ends", r.states, r.moves, r.finished)
}

// transcript is the shortest way to what is wrong, for people.
func (r *report) transcript() string {
	return strings.Join(r.trace, "\n") + "\n=> " + r.broken
}

// explorer walks through every state that a scenario can reach, breadth first. It
// keeps 64 bits of each state and how it was reached; the states themselves only
// of the current level.
type explorer struct {
	sc     *scenario
	ops    []op
	seed   maphash.Seed
	seen   hashes
	parent []uint32 // by number of the state
	by     []uint8  // the op that led there
	level  frontier
	next   frontier
	trial  world // where a move is tried
	buf    []byte
	report report
}

type numbered struct {
	w    world
	id   uint32
	hash uint64
}

// hashes is a set. It is a table with open addressing, for that is half of the time.
type hashes struct {
	slots []uint64 // 0 is free
	len   int
}

// add reports whether h is new.
func (s *hashes) add(h uint64) bool {
	if 2*s.len >= len(s.slots) {
		s.grow()
	}
	h = max(h, 1)
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return false
		case 0:
			s.slots[i] = h
			s.len++
			return true
		}
	}
}

func (s *hashes) grow() {
	old := s.slots
	s.slots, s.len = make([]uint64, max(1<<10, 2*len(old))), 0
	for _, h := range old {
		if h != 0 {
			s.add(h)
		}
	}
}

// frontier holds the states of one level. It grows by pieces, so that no state is moved,
// and keeps its pieces for the level after the next.
type frontier struct {
	pieces []*[256]numbered
	len    int
}

func (f *frontier) add(w *world, id uint32, hash uint64) {
	if f.len == len(f.pieces)*256 {
		f.pieces = append(f.pieces, new([256]numbered))
	}
	n := f.at(f.len)
	n.w, n.id, n.hash = *w, id, hash
	f.len++
}

func (f *frontier) at(i int) *numbered { return &f.pieces[i/256][i%256] }

// lesson is what was found out once. An exploration runs in one goroutine and
// depends on nothing but the code: a second one, under -count, would find the same.
type lesson struct {
	once sync.Once
	r    *report
	by   string
}

var lessons sync.Map // by name, of *lesson

// learn returns what find finds, which is asked once for each name.
func learn(name string, find func() (*report, string)) (*report, string) {
	l, _ := lessons.LoadOrStore(name, &lesson{})
	known := l.(*lesson) //nolint:forcetypeassert // nothing else is stored
	known.once.Do(func() { known.r, known.by = find() })
	return known.r, known.by
}

// explore visits all states of sc; it stops at the first that breaks a rule, or
// when there are more than limit.
func explore(sc *scenario, limit int) *report {
	x := &explorer{sc: sc, ops: sc.ops(), seed: maphash.MakeSeed()}
	first := sc.begin()
	x.add(&first, x.hash(&first), 0, 0)
	for x.next.len > 0 && x.report.broken == "" {
		x.level, x.next = x.next, x.level
		x.next.len = 0
		for i := range x.level.len {
			if x.visit(x.level.at(i)); x.report.broken != "" {
				break
			}
		}
		if len(x.parent) > limit {
			x.report.broken = fmt.Sprintf("more than %d states", limit)
			return &x.report
		}
	}
	x.report.states = len(x.parent)
	return &x.report
}

func (x *explorer) hash(w *world) uint64 {
	x.buf = w.encode(x.buf[:0])
	return maphash.Bytes(x.seed, x.buf)
}

// add numbers a state that is new.
func (x *explorer) add(w *world, hash uint64, parent uint32, by int) {
	if !x.seen.add(hash) {
		return
	}
	id := uint32(len(x.parent))
	x.parent, x.by = append(x.parent, parent), append(x.by, uint8(by))
	x.next.add(w, id, hash)
}

// visit makes every move that a state allows.
func (x *explorer) visit(n *numbered) {
	goesOn := false
	for i := range x.ops {
		o := &x.ops[i]
		if !o.can(&n.w) {
			continue
		}
		x.report.moves++
		next := &x.trial
		*next = n.w
		o.do(next)
		next.tidy()
		if next.check(); next.broken != "" {
			x.fail(next.broken, n.id, i)
			return
		}
		hash := x.hash(next)
		x.add(next, hash, n.id, i)
		goesOn = goesOn || hash != n.hash && (o.fair == nil || o.fair(&n.w))
	}
	if goesOn {
		return
	}
	if x.report.finished++; n.w.unfinished() != "" {
		x.fail("C05 C15: nothing happens any more, and "+n.w.unfinished(), n.id, -1)
	}
}

// fail records what is wrong, and plays the way to it once more for the transcript.
func (x *explorer) fail(what string, at uint32, last int) {
	var path []int
	if last >= 0 {
		path = append(path, last)
	}
	for ; at != 0; at = x.parent[at] {
		path = append(path, int(x.by[at]))
	}
	x.report.broken = what
	w := x.sc.begin()
	w.log = &x.report.trace
	w.note("scenario %s", x.sc.name)
	for _, i := range slices.Backward(path) {
		o := &x.ops[i]
		w.note("%s", o.name)
		o.do(&w)
		w.tidy()
	}
}
