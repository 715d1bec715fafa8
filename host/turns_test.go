package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/internal/self"
)

// waited is how long take takes.
func waited(t *turns, patience time.Duration, dead, gone, hurry <-chan struct{}) (time.Duration, func()) {
	begun := time.Now()
	done := t.take(patience, dead, gone, hurry)
	return time.Since(begun), done
}

func TestN11_TurnsHoldNobodyUpForLong(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	for _, test := range []struct {
		name              string
		patience          time.Duration
		dead, gone, hurry <-chan struct{}
		first             bool // whoever has the first turn gives it back at once
		want              time.Duration
	}{
		{name: "the other child ends", patience: time.Hour, first: true, want: 0},
		{name: "the other child does not end", patience: time.Hour, want: turnLength},
		{name: "patience is over", patience: time.Millisecond, want: time.Millisecond},
		{name: "the child is dead", patience: time.Hour, dead: closed, want: 0},
		{name: "the child is gone", patience: time.Hour, gone: closed, want: 0},
		{name: "somebody is in a hurry", patience: time.Hour, hurry: closed, want: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := &turns{make(chan struct{}, 1), time.Hour}
				took, done := waited(all, time.Hour, nil, nil, nil)
				if took != 0 {
					t.Fatalf("the first turn came after %v", took)
				}
				if test.first {
					done()
				}
				took, second := waited(all, test.patience, test.dead, test.gone, test.hurry)
				if took != test.want {
					t.Errorf("waited %v, expected %v", took, test.want)
				}
				done() // again, or too late: nothing of the second's
				second()
				if len(all.taken) != 0 {
					t.Errorf("%d turns are still taken", len(all.taken))
				}
			})
		})
	}
}

func TestN11_NobodyWaitsLongerThanThis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns()
		for range cap(all.taken) {
			all.taken <- struct{}{}
		}
		if took, _ := waited(all, time.Hour, nil, nil, nil); took != longestWait {
			t.Errorf("waited %v, expected %v", took, longestWait)
		}
	})
}

func TestN11_AwaitingATurnComesOffTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &turns{make(chan struct{}, 1), time.Hour}
		all.take(time.Hour, nil, nil, nil)
		l := &ladder{own: boundsOf(Spec{}), turns: all}
		l.awaitTurn(nil, nil)()
		want := boundsOf(Spec{})
		want.grace -= turnLength
		if got := l.bounds(); got != want {
			t.Errorf("bounds are %v, expected %v", got, want)
		}
	})
}

// A host that is being ended itself has no time to wait for turns as if it were not.
func TestN11_TurnsFitIntoWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const left = 300 * time.Millisecond
		all := &turns{make(chan struct{}, 1), time.Hour}
		all.taken <- struct{}{}
		l := &ladder{own: boundsOf(Spec{}), turns: all, ending: self.NewEnding()}
		begun := time.Now()
		l.ending.Bound(begun.Add(left))
		l.awaitTurn(nil, nil)()
		waited := time.Since(begun)
		if b := l.bounds(); waited == 0 || waited+b.cancel > left || b.cancel < leastWait {
			t.Errorf("it waited %v, and the bounds are %v then; all must fit into %v", waited, b, left)
		}
	})
}

// HoldTurns takes all of a nursery's turns for good: its children wait for theirs as long
// as their grace lets them.
func HoldTurns(n *Nursery) {
	all := n.env.turns
	all.longest = 1000 * time.Hour
	for range cap(all.taken) {
		all.taken <- struct{}{}
	}
}
