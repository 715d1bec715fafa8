package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// decision is what the supervisor has decided about a process. It is apart from the state,
// which says what the process does: one that was condemned goes on being ready while those
// that need it end, and one may be stopping though nobody has told it to.
type decision uint8

// The decisions.
const (
	stays     decision = iota // it lives for as long as it can
	condemned                 // it is to end, once those that need it have ended
	toldToEnd                 // it was told to end, or to give up its start
)

// childState is what the supervisor's table knows of one child. Its state is the one
// phase that the child is in: what its process does is told by it, what calls find
// depends on it, and no other type keeps a phase of its own. Only the methods of
// [supervision] change it, from the adding until the state is [directory.Gone]; it is guarded as
// the table is.
type childState struct {
	id      int // in the order of adding
	group   int // the id of the first replica of its actor, never used again; its own if there is no other one
	number  int // among its replicas
	kind    config.RestartKind
	oneShot bool // strategies do not touch it
	needs   []need
	agent   int // the child that runs its process, as an agent on another machine; 0: this host does

	state     directory.State
	decision  decision // stays while there is no process
	fresh     bool     // it has never been up
	paused    bool     // there is no process, and the pause before the next one is not over
	comesBack bool     // it is condemned or told to end, and is started again after that
	extra     bool     // a scaling has added it to those that there were
	changed   bool     // its next process is another one than the last: if it does not come up, whoever has changed it is told
	surplus   bool     // it ends because there are to be fewer replicas, which is no loss to those that need them
	healthy   bool     // its last health check has succeeded
	over      bool     // no process comes any more; it is forgotten at the end of the step
	unstable  int      // restarts since it was last up for long enough to count as stable
	answered  bool     // its process has begun to end by itself when a restart was to follow
}

// hasProcess reports whether there is a process, be it one that only comes up or ends.
func (c *childState) hasProcess() bool {
	return slices.Contains([]directory.State{directory.Starting, directory.Ready, directory.Unhealthy, directory.Stopping}, c.state)
}

// isUp reports whether its process can be called, and nobody wants it to end.
func (c *childState) isUp() bool {
	return c.decision == stays && c.state.Callable()
}

// takesCalls reports whether calls go to the process that came up last. One that is to end
// for good, or has, is asked, and says why it refuses. Of one that comes back the next
// process is waited for. A process that stops by itself is in between: whether it comes
// back depends on how it has ended, and only for a temporary actor is the answer known
// before.
func (c *childState) takesCalls() bool {
	switch {
	case c.fresh:
		return false
	case c.decision != stays:
		return !c.comesBack
	case c.state == directory.Stopping: // by itself, and what follows is known when it is reaped
		return c.kind == config.Temporary
	}
	return c.state == directory.Gone || c.isUp()
}

// end is how a process has ended, or has not come up. The goroutine that owned the process
// makes it; the table takes it as a fact.
type end struct {
	cause   directory.Cause
	reason  string
	failure error // nil if it ended well, or as it was asked to
	lasting bool  // another start would fail in the same way
	stable  bool  // it was up for long
	used    directory.Usage
	machine int // the agent that was lost with it; 0 if none was
}

// restart is one that counts for the limit within the window.
type restart struct {
	at      time.Time
	machine int
}

// supervision decides what becomes of a supervisor's children. It is a pure table: its
// methods take what has happened, change the states, and return what follows, in this
// order: what to do, and the events to tell. It has no clock and no process; whoever owns
// it, in the program the [Nursery] under its lock, must carry out every action before the
// next step.
//
// Actions collect in the table during a step and are taken out by settle, with which each
// step ends. A test plays every order of events for three children against it.
type supervision struct {
	config.Supervision // with its defaults; MaxRestarts also bounds those of one child without a stable run

	children []*childState // by id, without those that are gone
	restarts []restart     // those within Window
	closing  bool          // nothing is started any more
	actions  []action      // of the present step
}

// actionKind is what an action does, besides telling its event.
type actionKind uint8

// The kinds of action. The last action about a child is exactly one actionForget.
const (
	actionTell     actionKind = iota // tell the event, that is all
	actionStart                      // start a process; up or ended follows
	actionStop                       // tell the process to end, or to give up its start; ended follows
	actionPause                      // call resume after a while
	actionReport                     // a failure that no restart answers: report it
	actionLimit                      // too many restarts within the window: report that, and close
	actionUnstable                   // too many restarts without a stable run: report that, and close
	actionLasting                    // a failure that no restart can heal: report it, and close
	actionForget                     // the child is over, perhaps without ever having been started
)

// action is one thing to do about one child. The event is reported if it has a state; else
// it only carries a failure.
type action struct {
	kind  actionKind
	id    int
	event directory.Event
}

// add takes a new child in, and tells why. Its first process starts when those that it needs are
// ready. A first start that fails is not tried again.
func (s *supervision) add(c *childState, why string) []action {
	c.fresh, c.group = true, cmp.Or(c.group, c.id)
	s.children = append(s.children, c)
	s.enter(c, actionTell, directory.Event{To: directory.Waiting, Reason: why})
	return s.settle()
}

// up takes note that a process can be called. It may have been condemned or told to end
// while it was coming up; the decision stands, and it is ended in the same way as any other.
func (s *supervision) up(id int) []action {
	c, e := s.child(id), directory.Event{To: directory.Ready}
	if !c.fresh {
		e.Reason = "restarted"
	}
	c.fresh, c.changed = false, false
	s.enter(c, actionTell, e)
	return s.settle()
}

// checked says what a health check has found: nil, or why it has failed.
func (s *supervision) checked(id int, reason string, failure error) []action {
	c := s.child(id)
	if c == nil || !c.isUp() { // its end came in between
		return nil
	}
	switch {
	case failure != nil:
		s.enter(c, actionTell, directory.Event{To: directory.Unhealthy, Reason: reason, Err: failure})
	case c.state == directory.Unhealthy:
		s.enter(c, actionTell, directory.Event{To: directory.Ready, Reason: "healthy again"})
	}
	c.healthy = failure == nil
	return s.settle()
}

// note reports something that changes no state: a step of a teardown, a stuck task.
func (s *supervision) note(id int, e directory.Event) []action {
	c := s.child(id)
	if c == nil {
		return nil
	}
	e.To = c.state
	s.enter(c, actionTell, e)
	return s.settle()
}

// stopping takes note that a process that was up is being ended, or has died. What follows
// is decided by ended. From now on those that need it are not started.
func (s *supervision) stopping(id int, how end) []action {
	c := s.child(id)
	c.healthy, c.answered = false, c.decision == stays && s.answers(c, how.failure != nil)
	s.enter(c, actionTell, directory.Event{To: directory.Stopping, Cause: how.cause, Reason: how.reason, Err: how.failure})
	return s.settle()
}

// resume takes note that a child's pause is over. The child may have been dismissed
// meanwhile, and be gone. Where the strategy restarts groups, others may have waited for
// this pause.
func (s *supervision) resume(id int) []action {
	if c := s.child(id); c != nil {
		c.paused = false
	}
	return s.settle()
}

// ended takes note that a process has ended, or has not come up, and is reaped. A failure
// that comes of itself while all is being closed is reported as any other. One from before, which a
// restart would have answered, is not: it may take long to be sure that the process is gone.
//
// The cases, in their order: it was ended on purpose, and comes back only if a strategy has
// ended it (but not if it has failed before it was told, in a way that it would again); its
// very first start has failed, which whoever asked for it is told, or a later one was given
// up because all end, or is told who has changed it; it should come back and cannot; it
// comes back; nobody wants it back.
func (s *supervision) ended(id int, how end, now time.Time) []action {
	c := s.child(id)
	wasUp, decided, failed := c.state != directory.Starting, c.decision, how.failure != nil
	s.enter(c, actionTell, directory.Event{To: directory.Reaped, Cause: how.cause, Reason: how.reason, Err: how.failure, Used: how.used})
	c.decision, c.healthy = stays, false
	if how.stable {
		c.unstable = 0
	}
	switch answered := s.answers(c, failed); {
	case decided != stays && !c.failsAgain(decided, how):
		if s.closing && wasUp && !c.answered {
			s.report(c, how.failure)
		}
		c.over = !c.comesBack
	case !wasUp && (c.fresh || c.changed || s.closing):
		c.over = true
	case answered && how.lasting:
		s.giveUp(c, actionLasting, how.failure)
	case answered:
		s.bringBack(c, how, now)
	default:
		s.report(c, how.failure)
		c.over = true
	}
	return s.settle()
}

// failsAgain reports whether a process that a strategy has condemned has failed before it
// was told to end, and the next one would in the same way.
func (c *childState) failsAgain(decided decision, how end) bool {
	return decided == condemned && c.comesBack && how.lasting
}

// enter is the one place where a state changes, and where an event comes from. Therefore
// no event can be told of a change that was not made, and From of each event is To of the
// one before.
func (s *supervision) enter(c *childState, kind actionKind, e directory.Event) {
	e.From, c.state = c.state, e.To
	s.actions = append(s.actions, action{kind, c.id, e})
}

// report has a failure reported, if there is one. That of a one-shot is reported by whoever runs it.
func (s *supervision) report(c *childState, failure error) {
	if failure != nil && !c.oneShot {
		s.actions = append(s.actions, action{actionReport, c.id, directory.Event{Err: failure}})
	}
}

// answers reports whether the end of a child's process, which nobody asked for, is answered
// with a restart, or with the failure of the supervisor.
func (s *supervision) answers(c *childState, failed bool) bool {
	return !s.closing && (c.kind == config.Permanent || c.kind == config.Transient && failed)
}

// giveUp closes: a child is to come back, and cannot.
func (s *supervision) giveUp(c *childState, kind actionKind, failure error) {
	s.closing, c.over = true, true
	s.actions = append(s.actions, action{kind, c.id, directory.Event{Err: failure}})
}

// bringBack has a child started again, unless that has happened too often, and ends those
// that the strategy ends with it. Pauses may grow beyond the window, so that restarts that
// never lead to a stable run count for themselves: a program that crashes at once would
// otherwise be restarted for ever, in long pauses. Restarts that a strategy makes of the
// others do not count, and those of all that was on a machine that is lost are one.
//
// The next process starts when the pause is over and, where the strategy restarts groups,
// the last of those that are condemned here is reaped (mayStart).
func (s *supervision) bringBack(c *childState, how end, now time.Time) {
	s.restarts = slices.DeleteFunc(s.restarts, func(r restart) bool { return now.Sub(r.at) > time.Duration(s.Window) })
	counted := how.machine != 0 && slices.ContainsFunc(s.restarts, func(r restart) bool { return r.machine == how.machine })
	switch {
	case len(s.restarts) >= s.MaxRestarts && !counted:
		s.giveUp(c, actionLimit, how.failure)
		return
	case c.unstable >= s.MaxRestarts:
		s.giveUp(c, actionUnstable, how.failure)
		return
	}
	if !counted {
		s.restarts = append(s.restarts, restart{now, how.machine})
	}
	c.unstable++
	c.paused = true
	for _, other := range s.children {
		if s.together(c, other) {
			s.condemn(other, other.kind != config.Temporary)
		}
	}
	reason := "it has ended"
	if how.failure != nil {
		reason = how.reason
	}
	s.enter(c, actionPause, directory.Event{To: directory.Waiting, Reason: reason})
}

// together reports whether the strategy ends other when c has failed. Ids grow in the
// order of adding, which is what "started after it" means for rest_for_one.
func (s *supervision) together(c, other *childState) bool {
	if other == c || other.oneShot || c.oneShot {
		return false
	}
	return s.Strategy == config.OneForAll || s.Strategy == config.RestForOne && other.id > c.id
}

// inGroups reports whether the strategy restarts more than one at a time.
func (s *supervision) inGroups() bool {
	return s.Strategy == config.OneForAll || s.Strategy == config.RestForOne
}

// dismiss ends a child for good.
func (s *supervision) dismiss(id int) []action {
	if c := s.child(id); c != nil {
		s.endForGood(c)
	}
	return s.settle()
}

// restart has a child's process ended, and another one started, whatever its kind is. One
// whose end is decided goes its way; one that is between two processes does not wait any more.
func (s *supervision) restart(id int) []action {
	if c := s.child(id); c != nil {
		c.paused = false
		s.condemn(c, true)
	}
	return s.settle()
}

// close ends all children for good.
func (s *supervision) close() []action {
	s.closing = true
	for _, c := range s.children {
		s.endForGood(c)
	}
	return s.settle()
}

// endForGood ends a child that has a process, and lets one go that has none.
func (s *supervision) endForGood(c *childState) {
	s.condemn(c, false)
	c.comesBack, c.over = false, !c.hasProcess()
}

// condemn has a process ended, once those that need it have. The first decision stands: a
// child that is being ended already keeps it, and endForGood then changes whether it comes
// back.
func (s *supervision) condemn(c *childState, comesBack bool) {
	if c.hasProcess() && c.decision == stays {
		c.decision, c.comesBack, c.healthy = condemned, comesBack, false
	}
}

// settle adds to the actions what is possible now: it ends what nothing holds any more,
// starts what nothing is in the way of, and forgets what is over. One pass is enough for the
// starts, since what has only begun to start is not up, and makes no other one possible.
func (s *supervision) settle() []action {
	for _, c := range s.children {
		if c.decision == condemned && !s.held(c) {
			c.decision = toldToEnd
			s.actions = append(s.actions, action{kind: actionStop, id: c.id})
		}
	}
	for s.orphan() {
	}
	for _, c := range s.children {
		if !c.over && !c.hasProcess() && s.mayStart(c) {
			s.enter(c, actionStart, directory.Event{To: directory.Starting})
		}
	}
	for _, c := range s.children {
		if c.over {
			s.enter(c, actionForget, directory.Event{To: directory.Gone})
		}
	}
	s.children = slices.DeleteFunc(s.children, func(c *childState) bool { return c.over })
	actions := s.actions
	s.actions = nil
	return actions
}

// mayStart reports whether a child without a process can be started: its pause is over, what
// it needs is there, and, where the strategy restarts groups, nothing of the old
// generation is left and nobody else's pause goes on.
func (s *supervision) mayStart(c *childState) bool {
	if s.closing || c.paused || !s.hasNeeds(c) {
		return false
	}
	return c.oneShot || !s.inGroups() || !slices.ContainsFunc(s.children, func(other *childState) bool {
		return !other.oneShot && !other.over && (other.decision != stays || other.paused)
	})
}

// child finds a child, nil if it is gone.
func (s *supervision) child(id int) *childState {
	if i := slices.IndexFunc(s.children, func(c *childState) bool { return c.id == id }); i >= 0 {
		return s.children[i]
	}
	return nil
}
