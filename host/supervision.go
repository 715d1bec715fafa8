package host

import (
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// phase is what a place is doing.
type phase uint8

// The phases.
const (
	down      phase = iota // no process; to be started when nothing is in the way
	starting               // its process is coming up
	up                     // its process can be called
	condemned              // to be ended, once those that need it have ended
	stopping               // its process was told to end
	gone                   // over for good
)

func (p phase) String() string {
	return [...]string{"down", "starting", "up", "condemned", "stopping", "gone"}[p]
}

// need is something that a place depends on.
type need struct {
	id      int
	healthy bool // and not only up
}

// place is what a supervisor knows of one of its actors, whichever process that
// is at the moment.
type place struct {
	id      int // in the order of adding
	kind    config.RestartKind
	apart   bool // a one-shot: strategies do not touch it
	needs   []need
	phase   phase
	fresh   bool // has never been up
	paused  bool // down, and its pause is not over
	back    bool // condemned or stopping, and to be started again
	healthy bool // up, and a health check has succeeded
	row     int  // restarts since it was last up for long enough to count as stable
}

// end is how a process has ended, or has not come up.
type end struct {
	failed  bool
	lasting bool // failed, and would fail again
	stable  bool // it was up for long
}

// supervision decides what becomes of a supervisor's actors. It is a pure table:
// its methods take what has happened and return what to do, in this order. It has
// no clock and no process; whoever owns it must carry out every action.
type supervision struct {
	strategy config.Strategy
	max      int           // restarts within window, and of one place without a stable run
	window   time.Duration //
	places   []*place      // by id
	restarts []time.Time   // those within window
	closing  bool          // nothing is started any more
}

// deed is what an action does.
type deed uint8

// The deeds. Of each place exactly one forget is the last action.
const (
	doStart  deed = iota // start a process; up or ended follows
	doStop               // tell the process to end, or to give up its start; ended follows
	doPause              // call resume after a while
	doLose               // a failure that no restart answers: report it
	doLimit              // too many restarts within the window: report that, and close
	doTire               // too many restarts without a stable run: report that, and close
	doFail               // a failure that no restart can heal: report it, and close
	doForget             // the place is over, perhaps without ever having been started
)

func (d deed) String() string {
	return [...]string{"start", "stop", "pause", "lose", "limit", "tire", "fail", "forget"}[d]
}

// action is one thing to do about one place.
type action struct {
	do deed
	id int
}

// add takes a new actor in. Its first process starts when those that it needs are
// ready. A first start that fails is not tried again.
func (s *supervision) add(p place) []action {
	p.phase, p.fresh = down, true
	s.places = append(s.places, &p)
	return s.settle(nil)
}

// isUp says that a process has come up.
func (s *supervision) isUp(id int) []action {
	p := s.place(id)
	p.fresh = false
	if p.phase == starting { // else it is being ended already
		p.phase = up
	}
	return s.settle(nil)
}

// isHealthy says that a health check of a process has succeeded or failed.
func (s *supervision) isHealthy(id int, healthy bool) []action {
	if p := s.place(id); p != nil {
		p.healthy = healthy && p.phase == up
	}
	return s.settle(nil)
}

// resume says that a place's pause is over.
func (s *supervision) resume(id int) []action {
	if p := s.place(id); p != nil {
		p.paused = false
	}
	return s.settle(nil)
}

// ended says that a process has ended, or has not come up, and is reaped.
func (s *supervision) ended(id int, how end, now time.Time) []action {
	p := s.place(id)
	was := p.phase
	p.phase, p.healthy = gone, false
	if how.stable {
		p.row = 0
	}
	switch {
	case was == starting && p.fresh:
		return s.settle(nil)
	case was == condemned || was == stopping:
		if p.back {
			p.phase = down
		}
		return s.settle(nil)
	case s.answers(p, how.failed) && how.lasting:
		return s.settle(s.surrender(doFail, p))
	case s.answers(p, how.failed):
		return s.settle(s.bringBack(p, now))
	case how.failed && !p.apart:
		return s.settle([]action{{doLose, id}})
	}
	return s.settle(nil)
}

// answers reports whether the end of a place's process, which nobody asked for, is answered
// with a restart, or with the failure of the supervisor.
func (s *supervision) answers(p *place, failed bool) bool {
	return !s.closing && (p.kind == config.Permanent || p.kind == config.Transient && failed)
}

// surrender closes: a place is to come back, and cannot.
func (s *supervision) surrender(do deed, p *place) []action {
	s.closing = true
	return []action{{do, p.id}}
}

// bringBack has a place started again, unless that has happened too often, and
// ends those that the strategy ends with it. Pauses may grow beyond the window, so that
// restarts that never lead to a stable run count for themselves.
func (s *supervision) bringBack(p *place, now time.Time) []action {
	s.restarts = slices.DeleteFunc(s.restarts, func(t time.Time) bool { return now.Sub(t) > s.window })
	switch {
	case len(s.restarts) >= s.max:
		return s.surrender(doLimit, p)
	case p.row >= s.max:
		return s.surrender(doTire, p)
	}
	s.restarts = append(s.restarts, now)
	p.row++
	p.phase, p.paused = down, true
	for _, other := range s.places {
		if s.together(p, other) {
			s.condemn(other, other.kind != config.Temporary)
		}
	}
	return []action{{doPause, p.id}}
}

// together reports whether the strategy ends other when p has failed.
func (s *supervision) together(p, other *place) bool {
	if other == p || other.apart || p.apart {
		return false
	}
	return s.strategy == config.OneForAll || s.strategy == config.RestForOne && other.id > p.id
}

// inGroups reports whether the strategy restarts more than one at a time.
func (s *supervision) inGroups() bool {
	return s.strategy == config.OneForAll || s.strategy == config.RestForOne
}

// dismiss ends a place for good.
func (s *supervision) dismiss(id int) []action {
	p := s.place(id)
	if p == nil {
		return nil
	}
	p.back = false
	s.condemn(p, false)
	if p.phase == down {
		p.phase = gone
	}
	return s.settle(nil)
}

// condemn has a process ended, once those that need it have.
func (s *supervision) condemn(p *place, back bool) {
	if p.phase == starting || p.phase == up {
		p.phase, p.back, p.healthy = condemned, back, false
	}
}

// close ends all places for good.
func (s *supervision) close() []action {
	s.closing = true
	for _, p := range s.places {
		s.condemn(p, false)
		p.back = false
		if p.phase == down {
			p.phase = gone
		}
	}
	return s.settle(nil)
}

// settle adds to the actions what is possible now: it ends what nothing holds any
// more, starts what nothing is in the way of, and forgets what is gone.
func (s *supervision) settle(actions []action) []action {
	for _, p := range s.places {
		switch {
		case p.phase == condemned && !s.held(p):
			p.phase = stopping
			actions = append(actions, action{doStop, p.id})
		case p.phase == down && p.fresh && s.forlorn(p):
			p.phase = gone
		}
	}
	for _, p := range s.places {
		if p.phase == down && s.mayStart(p) {
			p.phase = starting
			actions = append(actions, action{doStart, p.id})
		}
	}
	for _, p := range s.places {
		if p.phase == gone {
			actions = append(actions, action{doForget, p.id})
		}
	}
	s.places = slices.DeleteFunc(s.places, func(p *place) bool { return p.phase == gone })
	return actions
}

// held reports whether others that are being ended need a place until they have ended.
func (s *supervision) held(p *place) bool {
	return slices.ContainsFunc(s.places, func(other *place) bool {
		return (other.phase == condemned || other.phase == stopping) &&
			slices.ContainsFunc(other.needs, func(n need) bool { return n.id == p.id })
	})
}

// mayStart reports whether a place that is down can be started: its pause is over, what
// it needs is there, and, where the strategy restarts groups, nothing of the old
// generation is left and nobody else's pause goes on.
func (s *supervision) mayStart(p *place) bool {
	if s.closing || p.paused || !s.hasNeeds(p) {
		return false
	}
	return p.apart || !s.inGroups() || !slices.ContainsFunc(s.places, func(other *place) bool {
		return !other.apart && (other.phase == condemned || other.phase == stopping || other.phase == down && other.paused)
	})
}

// hasNeeds reports whether all that a place needs is ready, as far as it is not gone.
func (s *supervision) hasNeeds(p *place) bool {
	return !slices.ContainsFunc(p.needs, func(n need) bool {
		needed := s.place(n.id)
		return needed != nil && needed.phase != gone && (needed.phase != up || n.healthy && !needed.healthy)
	})
}

// forlorn reports whether something that a place needs is gone for good.
func (s *supervision) forlorn(p *place) bool {
	return slices.ContainsFunc(p.needs, func(n need) bool {
		needed := s.place(n.id)
		return needed == nil || needed.phase == gone
	})
}

// place finds a place, nil if it is gone.
func (s *supervision) place(id int) *place {
	if i := slices.IndexFunc(s.places, func(p *place) bool { return p.id == id }); i >= 0 {
		return s.places[i]
	}
	return nil
}
