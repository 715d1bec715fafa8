package host

import "slices"

// spares decides about the spares of one description: processes that are started ahead, of which
// an actor that starts takes one. Like [supervision] it is a pure table, with its numbers for
// processes: its methods take what has happened and return what to do, and whoever owns it, the
// [standby] under its nursery's lock, carries out every action before the next step.
//
// Nothing is started before an actor of the description has come up: that shows that its program
// can, and a start has the machine for itself. Then one spare after the other is. Failures in a row
// are paused for, and after most of them it is given up, until another actor has come up.
type spares struct {
	want, most int
	users      int   // actors of the description that are not over
	joined     int   // how many there have been
	last       int   // the number of the last spare
	coming     int   // the spare that is being started; 0: none
	waiting    []int // those that can be taken, the oldest first
	proven     bool  // an actor has come up
	pausing    bool
	failures   int  // in a row
	lingering  bool // there was no actor, and lingered is to be called
	unused     int  // joined, at that moment
	over       bool // nothing is started any more
}

// spareActionKind is what is to be done.
type spareActionKind uint8

// The kinds.
const (
	spareStart  spareActionKind = iota // start the spare of that number; ready or lost follows
	spareEnd                           // end it, or its start
	sparePause                         // call resume after the pause of that many failures
	spareGiveUp                        // tell that it is given up
	spareLinger                        // call lingered after a while
)

// spareAction is one thing to do.
type spareAction struct {
	kind spareActionKind
	n    int
}

// join takes note of an actor of the description.
func (s *spares) join() []spareAction {
	s.users++
	s.joined++
	return nil
}

// leave takes note that one is over. Without any, the spares are kept for a while, for the
// next one.
func (s *spares) leave() []spareAction {
	s.users--
	return s.linger()
}

// linger begins to keep spares that nobody may take at the moment.
func (s *spares) linger() []spareAction {
	if s.users > 0 || s.over || s.lingering {
		return nil
	}
	s.lingering, s.unused = true, s.joined
	return []spareAction{{kind: spareLinger}}
}

// lingered ends the spares if no actor has come meanwhile. If one has, and is over, it begins anew.
func (s *spares) lingered() []spareAction {
	s.lingering = false
	if s.users == 0 && s.unused == s.joined {
		return s.close()
	}
	return s.linger()
}

// up takes note that an actor has come up, be it from a spare or not.
func (s *spares) up() []spareAction {
	s.proven, s.failures = true, 0
	return s.fill()
}

// take gives the number of a spare to be an actor's process, 0 if there is none. What takes its
// place is started when the actor is up.
func (s *spares) take() (n int) {
	if len(s.waiting) > 0 {
		n, s.waiting = s.waiting[0], s.waiting[1:]
	}
	return n
}

// ready takes note that a spare can be taken.
func (s *spares) ready(n int) []spareAction {
	if s.coming != n { // its end was on its way
		return nil
	}
	s.coming, s.waiting = 0, append(s.waiting, n)
	return s.fill()
}

// unfit takes note that one that was taken could not be used. What has spoiled it, such as a new
// program in its place, has spoiled the others too: all end, and are replaced when the actor has
// come up without them.
func (s *spares) unfit() []spareAction {
	s.proven = false
	return s.endAll()
}

// drop forgets one that was not taken, and reports false of one that was to end already.
func (s *spares) drop(n int) (was bool) {
	if was = s.coming == n; was {
		s.coming = 0
	} else if i := slices.Index(s.waiting, n); i >= 0 {
		s.waiting, was = slices.Concat(s.waiting[:i], s.waiting[i+1:]), true
	}
	return was
}

// dismiss ends one that was not taken, which has not failed, and starts another one.
func (s *spares) dismiss(n int) []spareAction {
	if !s.drop(n) {
		return nil
	}
	return append([]spareAction{{spareEnd, n}}, s.fill()...)
}

// lost takes note that a spare has not come up, or has ended while it waited. stable is whether it
// had waited for long, and lasting whether the next one would fail in the same way.
func (s *spares) lost(n int, stable, lasting bool) []spareAction {
	if !s.drop(n) {
		return nil
	}
	if s.pausing || s.failures > s.most { // one cause may end many: it counts once
		return nil
	}
	if stable {
		s.failures = 0
	}
	if s.failures++; lasting || s.failures > s.most {
		s.failures = s.most + 1
		return []spareAction{{kind: spareGiveUp}}
	}
	s.pausing = true
	return []spareAction{{sparePause, s.failures}}
}

// resume takes note that the pause is over.
func (s *spares) resume() []spareAction {
	s.pausing = false
	return s.fill()
}

// close ends the standby.
func (s *spares) close() []spareAction {
	s.over = true
	return s.endAll()
}

// endAll ends all that were not taken.
func (s *spares) endAll() (actions []spareAction) {
	for _, n := range s.waiting {
		actions = append(actions, spareAction{spareEnd, n})
	}
	if s.coming != 0 {
		actions = append(actions, spareAction{spareEnd, s.coming})
	}
	s.coming, s.waiting = 0, nil
	return actions
}

// fill starts the next spare, if one is missing and nothing is in the way.
func (s *spares) fill() []spareAction {
	if s.over || !s.proven || s.coming != 0 || s.pausing || s.failures > s.most || len(s.waiting) >= s.want {
		return nil
	}
	s.last++
	s.coming = s.last
	return []spareAction{{spareStart, s.last}}
}
