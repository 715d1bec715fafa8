package dialog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A checker that finds nothing proves little. Here mistakes are made on purpose,
// in the state machine and around it, and the model must notice each.

// mistaken is Step with something wrong about it.
type mistaken func(State, Event) (State, Action)

// after makes a mistake by changing what Step says.
func after(change func(old State, e Event, s State, do Action) (State, Action)) mistaken {
	return func(old State, e Event) (State, Action) {
		s, do := Step(old, e)
		return change(old, e, s, do)
	}
}

var mutations = []struct {
	name  string
	by    string // a scenario that is asked before the others; "": none
	step  mistaken
	rules glue
}{
	{name: "a value overtakes messages at the relay", by: "relayed, larger window", rules: glue{relaysAll: true}},
	{name: "a relay forgets a dialog whose Cancel is unanswered", by: "relayed, both cancel", rules: glue{forgetsCancel: true}},
	{name: "a relay does not tell of a lost link", by: "relayed call", rules: glue{keepsLoss: true}},
	{name: "a relay does not tell the callee what it could not send on", by: "relayed, a message cannot be sent on", rules: glue{keepsFailure: true}},
	{name: "a relay forgets messages that a failure has overtaken", by: "relayed, larger window", rules: glue{forgetsTail: true}},
	{name: "a Cancel is not remembered until the task has ended", step: after(func(_ State, _ Event, s State, do Action) (State, Action) {
		s.AckOwed = false
		return s, do
	})},
	{name: "a Cancel is acknowledged as it comes", step: after(func(_ State, e Event, s State, do Action) (State, Action) {
		if e == GotCancel && s.AckOwed {
			s.AckOwed, do = false, do|SendCancelAck
		}
		return s, do
	})},
	{name: "the callee says Error when it is told to end, and again when it has", step: after(func(old State, _ Event, s State, do Action) (State, Action) {
		if old.Phase == Live && s.Phase == Ending && !s.Cut {
			do |= SendError
		}
		return s, do
	})},
	{name: "a dialog that was cut goes on talking", step: func(s State, e Event) (State, Action) {
		s.Cut = false
		return Step(s, e)
	}},
	{name: "a Fail is sent as often as somebody fails", step: func(s State, e Event) (State, Action) {
		s.FailSent = false
		return Step(s, e)
	}},
	{name: "a Cancel in Stopping is forgotten", step: after(func(old State, e Event, s State, do Action) (State, Action) {
		if old.Phase == Stopping && e == GotCancel {
			return old, 0
		}
		return s, do
	})},
	{name: "an ack that never came is taken for granted after Fail", step: after(func(_ State, e Event, s State, do Action) (State, Action) {
		if e == GotFail && s.CancelSent {
			s.CancelSent, do = false, do|Acked
		}
		return s, do
	})},
	{name: "the ending does not answer a Cancel", step: func(s State, e Event) (State, Action) {
		cancelSent := s.CancelSent
		s, do := Step(s, e)
		if (e == GotReturn || e == GotError) && cancelSent {
			s.CancelSent, do = true, do&^Acked
		}
		return s, do
	}},
	{name: "a value that comes after the cancel is sent", step: after(func(old State, e Event, s State, do Action) (State, Action) {
		if old.Phase == Ending && e == DoSucceed && do&SendError != 0 {
			do = do&^SendError | SendReturn
		}
		return s, do
	})},
	{name: "the scope does not wait for the callee", step: after(func(old State, e Event, s State, do Action) (State, Action) {
		if old.Phase == Open && e == DoSucceed {
			s.Phase, do = Over, do|Answer
		}
		return s, do
	})},
	{name: "a time-out does not cut the dialog", step: func(s State, e Event) (State, Action) {
		if e == Timeout {
			s.CancelSent = false
			return s, Acked
		}
		return Step(s, e)
	}},
	{name: "Started can be called twice", by: "misfortune", step: after(func(old State, e Event, s State, do Action) (State, Action) {
		if old.Phase == Live && e == DoStarted {
			return old, SendStarted
		}
		return s, do
	})},
	{name: "a failure of the callee leaves the opener's ctx alone", step: after(func(old State, e Event, s State, do Action) (State, Action) {
		if old.Phase == Open && e == GotError {
			do &^= Interrupt
		}
		return s, do
	})},
	{name: "data frames overtake control frames", rules: glue{dataOvertakes: true}},
	{name: "a Return overtakes messages", rules: glue{returnOvertakes: true}},
	{name: "a task does not wait for its arguments", rules: glue{eager: true}},
	{name: "large arguments go before their Start", rules: glue{argumentsFirst: true}},
	{name: "a dialog with an unanswered Cancel is forgotten", rules: glue{forgetsAsked: true}},
	{name: "a goroutine sends on when its task has ended", rules: glue{sendsWhenOver: true}},
	{name: "a body that need not begin is not reported as ended", rules: glue{skipsBody: true}},
	{name: "Error and Fail do not count the messages before them", rules: glue{countsNothing: true}},
	{name: "a stream that is opened after a cut is told to the peer", rules: glue{attachesWhenCut: true}},
	{name: "credit is invented", rules: glue{invents: 1}},
	{name: "a window grows, and its sender is not told", rules: glue{growsAlone: true}},
	{name: "a message beyond the window is judged when it comes", rules: glue{hasty: true}},
	{name: "a message beyond the window is never judged", rules: glue{undecided: true}},
	{name: "a sender that does not know of a smaller window yet is accused", rules: glue{strict: true}},
	{name: "that a stream is open from the start is not told", rules: glue{silent: true}},
	{name: "credit is lost", rules: glue{invents: 255}},
	{name: "a sender does not wait for the verdict on its message beyond credit", rules: glue{impatient: true}},
}

// caught is the first scenario that notices a mistake, and what it says.
func caught(m mistaken, rules glue, by []scenario) (*report, string) {
	for _, sc := range by {
		sc.step, sc.rules = m, rules
		if r := explore(&sc, maxStates); r.broken != "" {
			return r, sc.name
		}
	}
	return nil, ""
}

// beginningWith are the quick scenarios, the one of a name first.
func beginningWith(name string) (all []scenario) {
	for _, sc := range quickScenarios {
		if sc.name == name {
			all = slices.Insert(all, 0, sc)
		} else {
			all = append(all, sc)
		}
	}
	return all
}

func TestModel_NoticesMistakes(t *testing.T) {
	t.Parallel()
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			r, by := learn("mistake: "+m.name, func() (*report, string) { return caught(m.step, m.rules, beginningWith(m.by)) })
			if r == nil {
				t.Fatal("the model does not notice it")
			}
			t.Logf("noticed by %q: %s", by, r.broken)
			if testing.Verbose() {
				t.Log("\n" + r.transcript())
			}
		})
	}
}

// equivalent are the changes of one cell that no dialog between two honest sides
// can tell from the original, with the reason; the tests of Step alone hold these.
var equivalent = []struct{ cell, reason string }{
	{"Opening GotStarted: without Begin", "a hint: dialog.go goes by the phase"},
	{"GotStarted: removed", "an honest callee sends one Started"},
	{"GotStarted: without Violate", "an honest callee sends one Started"},
	{"Opening GotReturn", "an honest callee sends Error if it never started"},
	{"Opening GotError: without Interrupt", "there is no task yet; it only sets the cause"},
	{"Opening GotFail: without Interrupt", "there is no task yet; it only sets the cause"},
	{"Opening Lost: without Interrupt", "there is no task yet; it only sets the cause"},
	{"Opening DoBreak", "nothing can break before Started"},
	{"Leaving DoBreak", "a task that has left does not read any more"},
	{"Draining DoBreak", "a task that has left does not read any more"},
	{"Leaving GotFail", "Leaving and Draining differ only in what they hold against the peer"},
	{"Leaving DoAbort: stays", "Leaving and Draining differ only in what they hold against the peer"},
	{"Open DoBreak: stays", "a task that has been told sees no difference between Open and Stopping"},
	{"Open DoAbort: stays", "a task that has been told sees no difference between Open and Stopping"},
	{"Open GotFail: stays", "a task that has been told sees no difference between Open and Stopping"},
	{"Open GotCancel: stays", "a task that has been told sees no difference between Open and Stopping"},
	{"Starting GotCancel", "an opener has nothing to cancel with before Started"},
	{"Ending GotFail", "the task has been interrupted before"},
	{"Ending GotCancel", "the task has been interrupted before, and its Error answers the Cancel"},
	{"Ending Lost", "the task has been interrupted before"},
	{"Stopping Overdue: without Interrupt", "the task was interrupted when the deadline passed"},
	{"Over DoStarted", "a task that has ended calls nothing"},
}

// Every cell of the table, one at a time: left out, without one of its actions, or not
// leading on. A scenario that never comes to a cell cannot notice what is wrong with it.
func TestModel_NoticesEveryCell(t *testing.T) { //nolint:tparallel // the group waits for its cells
	t.Parallel()
	if *modelMode != "full" {
		t.Log("only with -model=full")
		return
	}
	var excused sync.Map // by reason
	t.Run("cells", func(t *testing.T) {
		for p := range phases {
			for e := range events {
				for what, row := range changes(p, e) {
					cell := fmt.Sprintf("%v %v: %s", p, e, what)
					t.Run(cell, func(t *testing.T) {
						t.Parallel()
						changed := table
						changed[p] = row
						if r, _ := caught(changed.step, glue{}, passing(p, e)); r != nil {
							return
						}
						if excused.Store(reasonFor(cell), true); reasonFor(cell) == "" {
							t.Error("nothing notices it")
						}
					})
				}
			}
		}
	})
	for _, q := range equivalent {
		if _, ok := excused.Load(q.reason); !ok {
			t.Errorf("%s is noticed after all", q.cell)
		}
	}
}

// cells are those of the table that a scenario comes to, whatever happens in it.
type cells [phases][events]bool

var cellsOf = sync.OnceValue(func() []cells {
	all := make([]cells, len(quickScenarios))
	for i, sc := range quickScenarios {
		sc.step = func(s State, e Event) (State, Action) {
			all[i][s.Phase][e] = true
			return Step(s, e)
		}
		explore(&sc, maxStates)
	}
	return all
})

// passing are the scenarios that come to a cell.
func passing(p Phase, e Event) (some []scenario) {
	for i, sc := range quickScenarios {
		if cellsOf()[i][p][e] {
			some = append(some, sc)
		}
	}
	return some
}

// changes are the small mistakes that can be made in one cell.
func changes(p Phase, e Event) map[string]map[Event]rule {
	r, ok := table[p][e]
	if !ok {
		return nil
	}
	with := func(r rule) map[Event]rule {
		row := maps.Clone(table[p])
		row[e] = r
		return row
	}
	removed := maps.Clone(table[p])
	delete(removed, e)
	all := map[string]map[Event]rule{"removed": removed}
	for _, name := range r.do.names() {
		all["without "+name] = with(rule{r.next, r.do &^ actionNamed(name)})
	}
	if r.next != p {
		all["stays"] = with(rule{p, r.do})
	}
	return all
}

func actionNamed(name string) Action {
	for i, n := range actionNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

func reasonFor(cell string) string {
	for _, q := range equivalent {
		if strings.Contains(cell, q.cell) {
			return q.reason
		}
	}
	return ""
}
