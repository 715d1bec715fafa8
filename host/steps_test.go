package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/self"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// Every trigger leads to more force, in the end to SIGKILL.
func TestN08_Ladder(t *testing.T) {
	for why := answered; why <= hurried; why++ {
		s := stepAsk
		for steps := 0; s != stepKill; steps++ {
			then := next(s, why)
			if then <= s || steps > 3 {
				t.Fatalf("after %v, with %q, comes %v", s, why, then)
			}
			s = then
		}
		if why.String() == "" {
			t.Errorf("trigger %d has no name", why)
		}
	}
	if s := next(stepAsk, unasked); s != stepTerminate {
		t.Errorf("what was not asked is waited for: %v", s)
	}
	if s := next(stepAsk, elapsed); s != stepWait {
		t.Errorf("an actor that was asked is not waited for: %v", s)
	}
	if s := next(stepAsk, hurried); s != stepKill {
		t.Errorf("who hurries gets %v", s)
	}
}

// What is left to a host is left to its children but for the one slice, however often it
// is handed down, and all steps end at one moment.
func TestN08_BoundsAreNotMultiplied(t *testing.T) {
	usual := boundsOf(Spec{})
	if got := usual.within(time.Minute); got != usual {
		t.Errorf("enough time, and yet %v", got)
	}
	left := usual.grace
	for level := range 40 {
		b := usual.within(left)
		if want := usual.grace - time.Duration(level+1)*forceSlice; b.grace != want {
			t.Fatalf("level %d has a grace of %v, want %v", level, b.grace, want)
		}
		if b.cancel != usual.cancel {
			t.Fatalf("level %d has %v to answer", level, b.cancel)
		}
		left = b.grace
	}
	for _, left := range []time.Duration{2 * leastWait, leastWait, 0, -time.Hour} {
		if b := usual.within(left); min(b.cancel, b.grace) < leastWait || b.terminate <= 0 {
			t.Errorf("%v left: %v", left, b)
		}
	}
	if killed := usual.within(0); killed.terminate >= forceSlice {
		t.Errorf("SIGTERM has %v, the parent's own slice is %v", killed.terminate, forceSlice)
	}
}

// An actor that hosts others has the time that each of them has, and more for itself.
func TestN08_GraceCoversTheLevelsBelow(t *testing.T) {
	patient := Spec{Grace: config.Duration(time.Minute)}
	top := Spec{Actors: []Spec{{}, {Actors: []Spec{patient, {}}}}}
	if got, want := graceOf(top), time.Minute+2*levelGrace; got != want {
		t.Errorf("top has %v, want %v", got, want)
	}
	top.Grace = config.Duration(time.Second)
	if got := graceOf(top); got != time.Second {
		t.Errorf("top has %v and was given a second", got)
	}
}

// A host that is asked to end while it waits for a child waits no longer than it has.
func TestN08_BoundThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ladder{own: boundsOf(Spec{Grace: config.Duration(time.Hour)}), ending: self.NewEnding()}
		begun := time.Now()
		ended := task.Start(func() {
			if why := l.wait(stepWait, nil, nil); why != elapsed {
				t.Errorf("it went on: %v", why)
			}
		})
		synctest.Wait()
		l.ending.Bound(begun.Add(time.Second))
		ended.Wait()
		if waited := time.Since(begun); waited != time.Second-forceSlice {
			t.Errorf("it waited %v", waited)
		}
	})
}

// G7: a foreign program that goes on after its Shutdown gets the time that go-plugin's own
// hosts give it.
func TestN08_GraceOfAForeignProgram(t *testing.T) {
	s := Spec{GoPlugin: &config.GoPlugin{}}
	if b := boundsOf(s); b.grace != 2*time.Second {
		t.Errorf("its grace is %v", b.grace)
	}
	s.Grace = config.Duration(time.Minute)
	if b := boundsOf(s); b.grace != time.Minute {
		t.Errorf("a grace of its own is %v", b.grace)
	}
}
