package host

import (
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// phase is what a child is doing.
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

// need is something that a child depends on.
type need struct {
	id      int
	healthy bool // and not only up
}

// child is what a supervisor knows of one of its actors, whichever process that
// is at the moment.
type childState struct {
	id        int // in the order of adding
	kind      config.RestartKind
	oneShot   bool // a one-shot: strategies do not touch it
	needs     []need
	phase     phase
	fresh     bool // has never been up
	paused    bool // down, and its pause is not over
	comesBack bool // condemned or stopping, and to be started again
	healthy   bool // up, and a health check has succeeded
	unstable  int  // restarts since it was last up for long enough to count as stable
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
	max      int           // restarts within window, and of one child without a stable run
	window   time.Duration //
	children []*childState // by id
	restarts []time.Time   // those within window
	closing  bool          // nothing is started any more
}

// actionKind is what an action does.
type actionKind uint8

// The kinds. Of each child exactly one forget is the last action.
const (
	actionStart    actionKind = iota // start a process; up or ended follows
	actionStop                       // tell the process to end, or to give up its start; ended follows
	actionPause                      // call resume after a while
	actionReport                     // a failure that no restart answers: report it
	actionLimit                      // too many restarts within the window: report that, and close
	actionUnstable                   // too many restarts without a stable run: report that, and close
	actionLasting                    // a failure that no restart can heal: report it, and close
	actionForget                     // the child is over, perhaps without ever having been started
)

func (d actionKind) String() string {
	return [...]string{"start", "stop", "pause", "lose", "limit", "tire", "fail", "forget"}[d]
}

// action is one thing to do about one child.
type action struct {
	kind actionKind
	id   int
}

// add takes a new actor in. Its first process starts when those that it needs are
// ready. A first start that fails is not tried again.
func (s *supervision) add(c childState) []action {
	c.phase, c.fresh = down, true
	s.children = append(s.children, &c)
	return s.settle(nil)
}

// isUp says that a process has come up.
func (s *supervision) isUp(id int) []action {
	c := s.child(id)
	c.fresh = false
	if c.phase == starting { // else it is being ended already
		c.phase = up
	}
	return s.settle(nil)
}

// isHealthy says that a health check of a process has succeeded or failed.
func (s *supervision) isHealthy(id int, healthy bool) []action {
	if c := s.child(id); c != nil {
		c.healthy = healthy && c.phase == up
	}
	return s.settle(nil)
}

// resume says that a child's pause is over.
func (s *supervision) resume(id int) []action {
	if c := s.child(id); c != nil {
		c.paused = false
	}
	return s.settle(nil)
}

// ended says that a process has ended, or has not come up, and is reaped.
func (s *supervision) ended(id int, how end, now time.Time) []action {
	c := s.child(id)
	was := c.phase
	c.phase, c.healthy = gone, false
	if how.stable {
		c.unstable = 0
	}
	switch {
	case was == starting && c.fresh:
		return s.settle(nil)
	case was == condemned || was == stopping:
		if c.comesBack {
			c.phase = down
		}
		return s.settle(nil)
	case s.answers(c, how.failed) && how.lasting:
		return s.settle(s.giveUp(actionLasting, c))
	case s.answers(c, how.failed):
		return s.settle(s.bringBack(c, now))
	case how.failed && !c.oneShot:
		return s.settle([]action{{actionReport, id}})
	}
	return s.settle(nil)
}

// answers reports whether the end of a child's process, which nobody asked for, is answered
// with a restart, or with the failure of the supervisor.
func (s *supervision) answers(c *childState, failed bool) bool {
	return !s.closing && (c.kind == config.Permanent || c.kind == config.Transient && failed)
}

// giveUp closes: a child is to come back, and cannot.
func (s *supervision) giveUp(do actionKind, c *childState) []action {
	s.closing = true
	return []action{{do, c.id}}
}

// bringBack has a child started again, unless that has happened too often, and
// ends those that the strategy ends with it. Pauses may grow beyond the window, so that
// restarts that never lead to a stable run count for themselves.
func (s *supervision) bringBack(c *childState, now time.Time) []action {
	s.restarts = slices.DeleteFunc(s.restarts, func(t time.Time) bool { return now.Sub(t) > s.window })
	switch {
	case len(s.restarts) >= s.max:
		return s.giveUp(actionLimit, c)
	case c.unstable >= s.max:
		return s.giveUp(actionUnstable, c)
	}
	s.restarts = append(s.restarts, now)
	c.unstable++
	c.phase, c.paused = down, true
	for _, other := range s.children {
		if s.together(c, other) {
			s.condemn(other, other.kind != config.Temporary)
		}
	}
	return []action{{actionPause, c.id}}
}

// together reports whether the strategy ends other when p has failed.
func (s *supervision) together(c, other *childState) bool {
	if other == c || other.oneShot || c.oneShot {
		return false
	}
	return s.strategy == config.OneForAll || s.strategy == config.RestForOne && other.id > c.id
}

// inGroups reports whether the strategy restarts more than one at a time.
func (s *supervision) inGroups() bool {
	return s.strategy == config.OneForAll || s.strategy == config.RestForOne
}

// dismiss ends a child for good.
func (s *supervision) dismiss(id int) []action {
	c := s.child(id)
	if c == nil {
		return nil
	}
	c.comesBack = false
	s.condemn(c, false)
	if c.phase == down {
		c.phase = gone
	}
	return s.settle(nil)
}

// condemn has a process ended, once those that need it have.
func (s *supervision) condemn(c *childState, back bool) {
	if c.phase == starting || c.phase == up {
		c.phase, c.comesBack, c.healthy = condemned, back, false
	}
}

// close ends all children for good.
func (s *supervision) close() []action {
	s.closing = true
	for _, c := range s.children {
		s.condemn(c, false)
		c.comesBack = false
		if c.phase == down {
			c.phase = gone
		}
	}
	return s.settle(nil)
}

// settle adds to the actions what is possible now: it ends what nothing holds any
// more, starts what nothing is in the way of, and forgets what is gone.
func (s *supervision) settle(actions []action) []action {
	for _, c := range s.children {
		switch {
		case c.phase == condemned && !s.held(c):
			c.phase = stopping
			actions = append(actions, action{actionStop, c.id})
		case c.phase == down && c.fresh && s.orphanedDependency(c):
			c.phase = gone
		}
	}
	for _, c := range s.children {
		if c.phase == down && s.mayStart(c) {
			c.phase = starting
			actions = append(actions, action{actionStart, c.id})
		}
	}
	for _, c := range s.children {
		if c.phase == gone {
			actions = append(actions, action{actionForget, c.id})
		}
	}
	s.children = slices.DeleteFunc(s.children, func(c *childState) bool { return c.phase == gone })
	return actions
}

// held reports whether others that are being ended need a child until they have ended.
func (s *supervision) held(c *childState) bool {
	return slices.ContainsFunc(s.children, func(other *childState) bool {
		return (other.phase == condemned || other.phase == stopping) &&
			slices.ContainsFunc(other.needs, func(n need) bool { return n.id == c.id })
	})
}

// mayStart reports whether a child that is down can be started: its pause is over, what
// it needs is there, and, where the strategy restarts groups, nothing of the old
// generation is left and nobody else's pause goes on.
func (s *supervision) mayStart(c *childState) bool {
	if s.closing || c.paused || !s.hasNeeds(c) {
		return false
	}
	return c.oneShot || !s.inGroups() || !slices.ContainsFunc(s.children, func(other *childState) bool {
		return !other.oneShot && (other.phase == condemned || other.phase == stopping || other.phase == down && other.paused)
	})
}

// hasNeeds reports whether all that a child needs is ready, as far as it is not gone.
func (s *supervision) hasNeeds(c *childState) bool {
	return !slices.ContainsFunc(c.needs, func(n need) bool {
		needed := s.child(n.id)
		return needed != nil && needed.phase != gone && (needed.phase != up || n.healthy && !needed.healthy)
	})
}

// orphanedDependency reports whether something that a child needs is gone for good.
func (s *supervision) orphanedDependency(c *childState) bool {
	return slices.ContainsFunc(c.needs, func(n need) bool {
		needed := s.child(n.id)
		return needed == nil || needed.phase == gone
	})
}

// child finds a child, nil if it is gone.
func (s *supervision) child(id int) *childState {
	if i := slices.IndexFunc(s.children, func(c *childState) bool { return c.id == id }); i >= 0 {
		return s.children[i]
	}
	return nil
}
