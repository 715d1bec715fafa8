package host

import (
	"testing"
	"testing/synctest"
	"time"
)

// waited is how long take takes.
func waited(t turns, patience time.Duration, gone, hurry <-chan struct{}) (time.Duration, func()) {
	begun := time.Now()
	done := t.take(patience, gone, hurry)
	return time.Since(begun), done
}

func TestN11_TurnsHoldNobodyUpForLong(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	for _, test := range []struct {
		name        string
		patience    time.Duration
		gone, hurry <-chan struct{}
		first       bool // whoever has the first turn gives it back at once
		want        time.Duration
	}{
		{name: "the other child ends", patience: time.Hour, first: true, want: 0},
		{name: "the other child does not end", patience: time.Hour, want: turnLength},
		{name: "patience is over", patience: time.Millisecond, want: time.Millisecond},
		{name: "the child is gone", patience: time.Hour, gone: closed, want: 0},
		{name: "somebody is in a hurry", patience: time.Hour, hurry: closed, want: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := make(turns, 1)
				took, done := waited(all, time.Hour, nil, nil)
				if took != 0 {
					t.Fatalf("the first turn came after %v", took)
				}
				if test.first {
					done()
				}
				took, second := waited(all, test.patience, test.gone, test.hurry)
				if took != test.want {
					t.Errorf("waited %v, expected %v", took, test.want)
				}
				done() // again, or too late: nothing of the second's
				second()
				if len(all) != 0 {
					t.Errorf("%d turns are still taken", len(all))
				}
			})
		})
	}
}

func TestN11_AwaitingATurnComesOffTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(turns, 1)
		all.take(time.Hour, nil, nil)
		c := &child{env: &environment{turns: all}, spec: Spec{}, tie: linkless{}}
		c.awaitTurn()()
		want := bounds{DefaultCancelTimeout, DefaultGrace - turnLength, DefaultTermTimeout}
		if got := c.bounds(); got != want {
			t.Errorf("bounds are %v, expected %v", got, want)
		}
	})
}

// linkless is a tie that stays.
type linkless struct{ tie }

func (linkless) gone() <-chan struct{} { return nil }
