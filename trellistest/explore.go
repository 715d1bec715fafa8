package trellistest

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// seedFlag is the one seed that Explore runs, unless it is 0.
var seedFlag = flag.Uint64("trellis.seed", 0, "the one `seed` that trellistest.Explore runs, to repeat a failure")

// Schedule is one of the ways in which the same test can happen: how long each frame takes, and
// what becomes of the actors. All of it follows from the seed. The actors that are served by the
// test's own t follow it. It belongs to one run of the test.
type Schedule struct {
	seed uint64
	rand *rand.Rand

	lossy   atomic.Bool // an actor has been lost, or been asked to end; set under locks of connections
	endless *time.Timer

	mu     sync.Mutex
	most   time.Duration // how long an actor may run
	actors uint64        // that follow it so far
	plans  []string      // what is to become of each, for people
}

// Explore runs f in n bubbles, each time with another schedule: frames are delayed, links are
// cut, and actors die or are asked to end at moments that follow from the seed. It stops at the
// first seed with which f fails, and says how to repeat it. Given the flag -trellis.seed, it runs
// that seed alone.
//
// f has to hold whatever happens: an error that [Schedule.Excuses] is no failure of the plugin.
// The seeds are 1 to n, so that a test that has passed does so again.
func Explore(t *testing.T, n int, f func(t *testing.T, s *Schedule)) {
	t.Helper()
	if *seedFlag != 0 {
		explore(t, *seedFlag, f)
		return
	}
	for seed := range uint64(n) {
		explore(t, seed+1, f)
	}
}

// explore runs one seed. A test that fails leaves by runtime.Goexit, so the seed is told in a
// deferred function.
func explore(t *testing.T, seed uint64, f func(t *testing.T, s *Schedule)) {
	t.Helper()
	s, passed := &Schedule{seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), most: mostTime}, false //nolint:gosec // a seed is to give the same again
	defer func() {
		t.Helper()
		if !passed {
			t.Errorf("trellistest: seed %d fails; repeat it with\n\tgo test -run '%s' -trellis.seed=%d .\n%s", seed, exactly(t.Name()), seed, strings.Join(s.plans, "\n"))
		}
	}()
	Bubble(t, func(t *testing.T) {
		schedules.Store(t, s)
		defer schedules.Delete(t)
		// Either it is a deadlock, which is found now, or it goes on until go test is over, whose
		// report has no seed.
		s.endless = time.AfterFunc(2*s.most, func() {
			fmt.Fprintf(os.Stderr, "trellistest: seed %d: %s has not ended; its actors were killed long ago\n", seed, t.Name())
		})
		defer s.endless.Stop()
		defer func() { // a panic would end all tests, and the seed were not told
			if p := recover(); p != nil {
				t.Fatalf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		f(t, s)
	})
	passed = true
}

// exactly is a pattern for go test -run.
func exactly(test string) string {
	parts := strings.Split(test, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// schedules are those under way, by their testing.TB: Serve finds there what it has to follow.
var schedules sync.Map

func scheduleOf(t testing.TB) *Schedule {
	s, _ := schedules.Load(t)
	schedule, _ := s.(*Schedule)
	return schedule
}

// Seed is what the schedule follows from.
func (s *Schedule) Seed() uint64 { return s.seed }

// Rand gives the random numbers of the test's own choices. It is for one goroutine.
func (s *Schedule) Rand() *rand.Rand { return s.rand }

// Limit says how long the actors that are served from now on may run in virtual time: 10 minutes
// if it is not called. An actor that runs for longer is killed, and the test fails. Without a
// limit, a test that never ends would go on, with its seed untold, until go test is over.
func (s *Schedule) Limit(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = d
	s.endless.Reset(2 * d)
}

// Excuses reports whether an error may be what the schedule has done to its actors, and not the
// plugin's fault: an actor was lost or asked to end, and that is what the error says. What is
// yet to happen excuses nothing.
func (s *Schedule) Excuses(err error) bool {
	_, cancelled := errors.AsType[*fault.ContextCancelled](err)
	return s.lossy.Load() && (cancelled || errors.Is(err, fault.ErrActorLost) || errors.Is(err, fault.ErrActorClosing))
}

// fate is what becomes of an actor.
type fate uint8

const (
	lives fate = iota
	losesItsLink
	dies
	isAskedToEnd
	fates
)

func (f fate) String() string {
	return [...]string{"lives", "loses its link", "dies", "is asked to end"}[f]
}

// follow makes an actor follow the schedule. Each draws from numbers of its own, and each frame
// has its own delay, so that what happens first does not decide what the next one gets.
func (s *Schedule) follow(a *Actor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actors++
	nth := s.actors
	r := rand.New(rand.NewPCG(s.seed, nth))                          //nolint:gosec // the same
	scale := math.Pow(10, 6*r.Float64()) * float64(time.Microsecond) // up to a second
	what, when := fate(r.IntN(int(fates))), int(math.Pow(2, 9*r.Float64()))
	a.DelayEach(func(to Direction, frame int) time.Duration {
		one := rand.New(rand.NewPCG(s.seed, nth<<40|uint64(to)<<32|uint64(frame))) //nolint:gosec // the same
		return time.Duration(one.ExpFloat64() * scale)
	})
	plan := what.String()
	if what != lives {
		plan = fmt.Sprintf("%v after %d frames", what, when)
		a.after(when, func() {
			s.lossy.Store(true)
			a.meet(what)
		})
	}
	a.limit(s.most)
	s.plans = append(s.plans, fmt.Sprintf("%s: its frames take %v or so; it %s", a.id.Name, time.Duration(scale).Round(time.Microsecond), plan))
}

const (
	// mostTime is how long an actor may run in virtual time, if the test does not say otherwise.
	// A test that never ends because of it, while some ticker keeps the time going, is not a
	// deadlock, and would go on until go test is over.
	mostTime = 10 * time.Minute
	// scheduledTimeout is what a cancel may take to be answered, and a task to open its stream:
	// frames take seconds at most, and those are the schedule's fault.
	scheduledTimeout = time.Minute
)

// limit kills an actor that runs for too long, so that the calls fail for which its test waits.
func (a *Actor) limit(most time.Duration) {
	a.limiting = time.AfterFunc(most, func() {
		a.fail(fmt.Errorf("its test has not ended after %v of virtual time, and it is killed; Schedule.Limit allows more", most))
		a.die()
	})
}

// meet does to the actor what the schedule has for it. It is called with the connection's lock.
func (a *Actor) meet(what fate) {
	switch what {
	case losesItsLink:
		a.connection.severed()
	case dies:
		a.died.Store(true)
		a.connection.severed()
	case isAskedToEnd: // and killed if it does not end, as its host would do
		a.asking.Go(a.ask)
		a.asking.Go(func() {
			if !within(a.over, a.grace) {
				a.die()
			}
		})
	case lives, fates:
	}
}
