package dialog

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the generated parts of the docs")

// frames are the actions that say something to the peer.
const frames = SendStarted | SendFail | SendCancel | SendCancelAck | SendReturn | SendError

// step is one cell of the table, for one set of flags.
type step struct {
	old   State
	event Event
	new   State
	do    Action
}

func (s step) String() string {
	return strings.TrimRight(fmt.Sprintf("%-12v -> %-32v %s", s.event, s.new, strings.Join(s.do.names(), " ")), " ")
}

func (s step) is(events ...Event) bool { return slices.Contains(events, s.event) }

// starts are the states that a dialog begins with.
var starts = []State{{Phase: Opening}, {Phase: Open}, {Phase: Starting}, {Phase: Live}}

// reachable is every state that a side can get into, whatever its peer does.
func reachable() []State {
	seen := map[State]bool{}
	next := slices.Clone(starts)
	for len(next) > 0 {
		s := next[0]
		if next = next[1:]; seen[s] {
			continue
		}
		seen[s] = true
		for e := range events {
			after, _ := Step(s, e)
			next = append(next, after)
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b State) int { return strings.Compare(sortKey(a), sortKey(b)) })
}

func sortKey(s State) string {
	return fmt.Sprintf("%02d %02d", s.Phase, bits(s.FailSent, s.CancelSent, s.AckOwed, s.Cut))
}

// everyStep is the whole of Step: each reachable state with each event.
func everyStep() (all []step) {
	for _, s := range reachable() {
		for e := range events {
			after, do := Step(s, e)
			all = append(all, step{s, e, after, do})
		}
	}
	return all
}

// Each of these holds in every cell, with every set of flags.
var laws = []struct {
	name string
	hold func(s step) bool
}{
	{"C15: Over is final, and silent", func(s step) bool {
		return s.old.Phase != Over || s.new.Phase == Over && s.do&^(Refuse|Acked) == 0
	}},
	{"a side stays the side that it is", func(s step) bool {
		return s.old.Phase == Over || s.new.Phase == Over || s.old.isCallee() == s.new.isCallee()
	}},
	{"C15: nothing is sent after a cut, and a cut is for good", func(s step) bool {
		return !s.new.Cut && !s.old.Cut || s.new.Cut && s.do&frames == 0
	}},
	{"F01 P13: the loss of the link cuts, and so does an opener's time-out", func(s step) bool {
		cuts := s.is(Lost) || s.is(Overdue) && s.do != 0 || s.is(Timeout) && s.old.CancelSent && !s.old.isCallee()
		return s.new.Cut == (s.old.Cut || cuts)
	}},
	{"C07: Fail is sent once", func(s step) bool {
		sends := s.do&SendFail != 0
		return s.new.FailSent == (s.old.FailSent || sends) && (!s.old.FailSent || !sends)
	}},
	{"C07: a Fail has a reason: its task's own failure, or what interrupts the task", func(s step) bool {
		return s.do&SendFail == 0 || s.is(DoFail) || s.do&Interrupt != 0 || s.new.Phase == Ending
	}},
	{"C10: a Cancel is under way once, and its end is reported once", func(s step) bool {
		switch {
		case s.do&SendCancel != 0:
			return !s.old.CancelSent && s.new.CancelSent && s.do&Acked == 0
		case s.do&Acked != 0:
			return s.old.CancelSent && !s.new.CancelSent || s.is(DoCancel) && !s.old.CancelSent
		}
		return s.new.CancelSent == s.old.CancelSent
	}},
	{"C10: whoever calls Cancel gets an answer: now, or when the peer's task has ended", func(s step) bool {
		return !s.is(DoCancel) || s.new.CancelSent || s.do&Acked != 0
	}},
	{"C10: what ends a Cancel: its ack, the callee's ending, a time-out, the loss of the link", func(s step) bool {
		return s.do&Acked == 0 || s.is(DoCancel, GotCancelAck, GotReturn, GotError, Timeout, Overdue, Lost)
	}},
	{"C10 C14: a Cancel that comes is acknowledged, remembered, or answered by the ending", func(s step) bool {
		answered := s.old.Cut || s.old.Phase == Settled || s.old.Phase == Over
		return !s.is(GotCancel) || answered || s.do&SendCancelAck != 0 || s.new.AckOwed
	}},
	{"C10: an ack that is owed is sent when the task has ended, and not before", func(s step) bool {
		if !s.old.AckOwed || s.is(GotCancel) {
			return true
		}
		ends := s.is(DoSucceed, DoFail)
		return s.new.AckOwed == !ends && (s.do&SendCancelAck != 0) == (ends && !s.old.Cut)
	}},
	{"C10: an ack is sent to whoever asked", func(s step) bool {
		return s.do&SendCancelAck == 0 || s.old.AckOwed || s.is(GotCancel)
	}},
	{"C23: the opener's outcome is known once: on the way to Settled or Over", func(s step) bool {
		if s.old.isCallee() {
			return s.do&Answer == 0
		}
		known := func(p Phase) bool { return p == Settled || p == Over }
		return (s.do&Answer != 0) == (known(s.new.Phase) && !known(s.old.Phase))
	}},
	{"C05: the callee's dialog is over when its task has ended, and not before", func(s step) bool {
		return !s.old.isCallee() || (s.new.Phase == Over) == s.is(DoSucceed, DoFail)
	}},
	{"C05: the opener's dialog is over when both tasks have ended", func(s step) bool {
		if s.old.isCallee() || s.old.Phase == Over || s.new.Phase != Over {
			return true
		}
		switch s.old.Phase {
		case Settled: // the callee has ended
			return s.is(DoSucceed, DoFail)
		case Opening, Leaving, Draining: // no task runs here
			return s.is(GotReturn, GotError, Timeout, Overdue, Lost)
		}
		return false
	}},
	{"P13: a callee that was told to end, and does not, is cut off by its opener's deadline", func(s step) bool {
		told := s.old.Phase == Stopping || s.old.Phase == Draining
		return !s.is(Overdue) || (s.do&Answer != 0) == told && (told || s.new == s.old)
	}},
	{"C04 C23: the callee says once how it ended", func(s step) bool {
		said := s.do & (SendReturn | SendError)
		ends := s.old.isCallee() && s.new.Phase == Over && !s.old.Cut
		return (said != 0) == ends && said != SendReturn|SendError
	}},
	{"C12: a value is sent if it came before the task was told to end", func(s step) bool {
		return (s.do&SendReturn != 0) == (s.old.Phase == Live && s.is(DoSucceed) && !s.old.Cut)
	}},
	{"C02: Started is sent once, as the first thing", func(s step) bool {
		return (s.do&SendStarted != 0) == (s.old.Phase == Starting && s.is(DoStarted) && !s.old.Cut)
	}},
	{"C01: the opener's task begins with Started", func(s step) bool {
		return (s.do&Begin != 0) == (s.old.Phase == Opening && s.is(GotStarted))
	}},
	{"C07 C08: a task that runs is interrupted by every failure", func(s step) bool {
		runs := s.old.Phase == Open || s.old.Phase == Stopping || s.old.isCallee() && s.old.Phase != Ending
		return !runs || !s.is(GotFail, GotCancel, GotError, DoAbort, DoBreak, Lost) ||
			s.do&Interrupt != 0 || s.old.isCallee() && s.is(GotError) // which no opener sends
	}},
	{"C07: the callee hears of every failure of the opener, while it may run", func(s step) bool {
		fails := s.is(DoAbort, DoBreak) || s.is(DoFail) && (s.old.Phase == Open || s.old.Phase == Stopping)
		waits := s.old.Phase <= Draining && !s.old.Cut
		return !fails || !waits || s.new.FailSent
	}},
	{"C20: a late time-out is nothing", func(s step) bool {
		return !s.is(Timeout) || s.old.CancelSent || s.new == s.old && s.do == 0
	}},
	{"C04 C16: a violation changes nothing, but that a callee which returns without Started is over", func(s step) bool {
		if s.old.Phase == Opening && s.is(GotReturn) {
			return s.new.Phase == Over && s.do == Violate|Answer|Interrupt
		}
		return s.do&Violate == 0 || s.new == s.old && s.do == Violate
	}},
}

func TestStep_EveryCell(t *testing.T) {
	all := everyStep()
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			for _, s := range all {
				if !law.hold(s) {
					t.Errorf("%v: %v", s.old, s)
				}
			}
		})
	}
	t.Logf("%d states, %d cells", len(reachable()), len(all))
}

// Each law must be able to fail: no cell of a table that says nothing, or all, at
// every turn, would keep them.
func TestStep_NoLawIsEmpty(t *testing.T) {
	all := everyStep()
	for _, law := range laws {
		broken := slices.ContainsFunc(all, func(s step) bool {
			return slices.ContainsFunc(s.wrong(), func(w step) bool { return !law.hold(w) })
		})
		if !broken {
			t.Errorf("nothing breaks it: %s", law.name)
		}
	}
}

// wrong are the steps that differ from s in one thing.
func (s step) wrong() (all []step) {
	for i := range actionNames {
		all = append(all, step{s.old, s.event, s.new, s.do ^ 1<<i})
	}
	for p := range phases {
		if p != s.new.Phase {
			w := s
			w.new.Phase = p
			all = append(all, w)
		}
	}
	for flag := range 4 {
		w := s
		on := []*bool{&w.new.FailSent, &w.new.CancelSent, &w.new.AckOwed, &w.new.Cut}[flag]
		*on = !*on
		all = append(all, w)
	}
	return all
}

// The whole table as a text that can be read. For each phase first the state
// without flags; then, for other flags, only what they change.
func TestStep_Transcript(t *testing.T) {
	var b strings.Builder
	b.WriteString("Every state that a side can be in, and what each event does there.\n" +
		"States with flags list what is different from the same phase without them.\n" +
		"An event that is not listed is ignored.\n")
	for _, s := range reachable() {
		plain := State{Phase: s.Phase}
		fmt.Fprintf(&b, "\n%v\n", s)
		for e := range events {
			after, do := Step(s, e)
			if s != plain && sameAs(s, plain, e) || after == s && do == 0 && s == plain {
				continue
			}
			fmt.Fprintf(&b, "  %v\n", step{s, e, after, do})
		}
	}
	golden(t, filepath.Join("testdata", "machine.golden"), b.String())
}

// sameAs reports whether an event does in s what it does in the plain state,
// with the flags that s has on top.
func sameAs(s, plain State, e Event) bool {
	a, doA := Step(s, e)
	b, doB := Step(plain, e)
	b.FailSent = b.FailSent || s.FailSent
	b.CancelSent = b.CancelSent || s.CancelSent
	b.AckOwed = b.AckOwed || s.AckOwed
	b.Cut = b.Cut || s.Cut
	return a == b && doA == doB
}

// golden compares text with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s, line %d (go test -update writes it anew):\n got  %s\n want %s", file, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s has %d lines, now it is %d (go test -update writes it anew)", file, len(w), len(g))
}
