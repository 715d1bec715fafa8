package shm

import (
	"fmt"
	"strings"
	"testing"
)

// The whole table of who reads, one line for each role: rests, wakes, wants, leads, leaves.
func TestRoles(t *testing.T) {
	names := [roles]string{"standing", "vacant", "led", "wanted"}
	want := strings.Join([]string{
		"standing: vacant | standing yes | standing yes | standing | standing",
		"vacant: vacant | standing yes | standing yes | led yes | vacant",
		"led: led | led | wanted | led | vacant",
		"wanted: wanted | wanted | wanted | wanted | standing yes",
	}, "\n")
	var got []string
	for r := range roles {
		var rules []string
		for _, rule := range roleTable[r] {
			rules = append(rules, names[rule.next]+map[bool]string{true: " yes"}[rule.yes])
		}
		got = append(got, names[r]+": "+strings.Join(rules, " | "))
	}
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// scene is a state of the model of one direction: a peer that writes, this end's reader, and a leader that comes
// some times. Each step is one access to what others see. Threads that doze are woken by others only: in the
// end nobody may depend on the bound of a doze.
type scene struct {
	word                 uint32
	tail, asides         uint8 // as the peer has published them
	bells, recs          uint8 // on the socket
	roused, turn, naps   bool
	ends                 bool // the peer ends when it has written all
	gone, heard          bool // the peer has closed its end of the socket; the reader has found that
	role                 role
	head, records        uint8 // what has been read
	reader, leader, peer step
	saw                  uint32 // what the peer has loaded of word
	rest                 bool   // what the leader has found when it left
	writes, calls        uint8  // are still to come
	late                 uint8  // how many dozes may end by their bound
	spare                int8   // sleeps that have been counted, less bells that have been read
}

type step uint8

// The steps of all three.
const (
	reads step = iota // the reader, and what the leader does when there is something
	setsDoze
	looksDozing
	restsDozing
	doze
	isDozing
	isUp
	takesUp
	countsSleep
	setsSleep
	looksAsleep
	restsAsleep
	listens
	rises
	awaitsTurn
	takes
	isOver

	isAway // the leader
	swaps
	watches
	looks
	isBack
	countsAsleep
	setsAsleep
	wakesReader
	looksAgain
	goes

	isQuiet // the peer
	loads
	swapsWord
	counts
	rousesDozing
)

// flaws are what may be wrong with an implementation. The model finds each of them.
type flaw uint8

const (
	sound flaw = iota
	readerIsLeftDozing
	wantedIsNotRisen
	leaderDoesNotLookAgain
	leaderSleepsBeforeItLooks
	wokenReaderTakesTheWord
	sleepIsCountedLate
	flaws
)

func (s *scene) some() bool { return s.head != s.tail || s.records != s.asides }

func (s *scene) do(e roleEvent) bool {
	r := roleTable[s.role][e]
	s.role = r.next
	return r.yes
}

// wake wakes all threads that doze.
func (s *scene) wake() {
	if s.reader == isDozing {
		s.reader = isUp
	}
	if s.leader == isDozing {
		s.leader = isBack
	}
}

// countSleep is the two halves of going to sleep on the socket: the sleep is counted, and the peer told.
func (s *scene) countSleep(f flaw, second bool) {
	if second == (f == sleepIsCountedLate) {
		s.spare = min(s.spare+1, 3) // the peer rings no more
	} else {
		s.word = asleep
	}
}

func (s *scene) rise() {
	if s.word == dozing {
		s.word = awake
		s.wake()
	}
}

// TestModelRoles explores every interleaving. At all times at most one goroutine reads, and what was written is
// read in the end.
func TestModelRoles(t *testing.T) {
	for _, ends := range []bool{false, true} {
		n, broken := explore(sound, ends)
		if broken != "" {
			t.Fatal(broken)
		}
		t.Logf("%d states", n)
		if n < 10_000 {
			t.Errorf("the model has become too small to show anything: %d states", n)
		}
	}
}

func TestModelRolesFindsFlaws(t *testing.T) {
	for f := sound + 1; f < flaws; f++ {
		if n, broken := explore(f, f == wantedIsNotRisen); broken == "" {
			t.Errorf("flaw %d was not found in %d states", f, n)
		}
	}
}

// explore plays a peer that writes some times, and that ends then or does not.
func explore(f flaw, ends bool) (states int, broken string) {
	first := scene{role: standing, reader: reads, leader: isAway, peer: isQuiet, writes: 2, calls: 2, late: 1, ends: ends}
	if ends {
		first.late = 0
	}
	seen := map[scene]bool{first: true}
	for queue := []scene{first}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if broken := s.broken(); broken != "" {
			return len(seen), fmt.Sprintf("%s: %+v", broken, s)
		}
		next := s.next(f)
		if len(next) == 0 && (s.some() || ends && s.reader != isOver) {
			return len(seen), fmt.Sprintf("what was written is never read, or the end not found: %+v", s)
		}
		for _, n := range next {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return len(seen), ""
}

func (s *scene) broken() string {
	readerReads := s.reader != restsDozing+1 && (s.reader <= restsDozing || s.reader >= takesUp && s.reader <= restsAsleep || s.reader == takes || s.reader == isOver)
	leaderReads := s.leader != isAway
	switch {
	case s.spare < 0:
		return "an honest peer has rung more bells than this end has slept"
	case readerReads && leaderReads:
		return "two read"
	case readerReads != (s.role == standing) && s.reader != rises && s.reader != awaitsTurn:
		return "the reader and its role differ"
	case leaderReads != (s.role == led || s.role == wanted):
		return "the leader and its role differ"
	}
	return ""
}

// next is all that can happen.
func (s *scene) next(f flaw) (all []scene) {
	with := func(change func(n *scene)) {
		n := *s
		change(&n)
		all = append(all, n)
	}
	s.stepReader(f, with)
	s.stepLeader(f, with)
	s.stepPeer(with)
	if s.gone && s.reader == isDozing {
		with(func(n *scene) { n.reader = isUp }) // a socket's end is found after a doze
	}
	if s.late > 0 && len(all) > 0 { // a doze may end by its bound, but nothing is to need that
		if s.reader == isDozing {
			with(func(n *scene) { n.late--; n.reader = isUp })
		}
		if s.leader == isDozing {
			with(func(n *scene) { n.late--; n.leader = isBack })
		}
	}
	return all
}

func (s *scene) stepReader(f flaw, with func(func(*scene))) {
	switch s.reader {
	case reads:
		with(func(n *scene) {
			switch {
			case n.records != n.asides && n.recs > 0:
				n.recs--
				n.records++
			case n.head != n.tail:
				n.head = n.tail
			case n.heard:
				n.reader = isOver
			default:
				n.reader = setsDoze
			}
		})
		if !s.some() && !s.heard {
			with(func(n *scene) { n.reader = countsSleep }) // it has no patience
		}
	case setsDoze:
		with(func(n *scene) { n.word, n.reader = dozing, looksDozing })
	case countsSleep:
		with(func(n *scene) { n.countSleep(f, false); n.reader = setsSleep })
	case setsSleep:
		with(func(n *scene) { n.countSleep(f, true); n.reader = looksAsleep })
	case looksDozing, looksAsleep:
		with(func(n *scene) {
			if n.some() {
				n.word, n.reader = awake, reads
			} else {
				n.reader++
			}
		})
	case restsDozing:
		with(func(n *scene) { n.naps = true; n.do(rests); n.reader = doze })
	case restsAsleep:
		with(func(n *scene) { n.do(rests); n.reader = listens })
	case doze:
		with(func(n *scene) { n.reader = map[bool]step{true: isDozing, false: isUp}[n.word == dozing] })
	case isUp:
		with(func(n *scene) {
			if f == wokenReaderTakesTheWord {
				n.word = awake
			}
			n.naps = false
			n.reader = map[bool]step{true: takesUp, false: listens}[n.do(wakes)]
		})
	case takesUp:
		with(func(n *scene) { n.word, n.reader = awake, map[bool]step{true: reads, false: countsSleep}[n.some()] })
	case listens:
		if s.bells > 0 {
			with(func(n *scene) { n.bells--; n.spare--; n.reader = map[bool]step{true: takes, false: rises}[n.do(wants)] })
		}
		if s.gone && s.bells == 0 && s.recs == 0 {
			with(func(n *scene) { n.heard = true; n.reader = map[bool]step{true: takes, false: rises}[n.do(wants)] })
		}
		if s.recs > 0 || s.roused {
			with(func(n *scene) {
				n.roused = false
				n.reader = map[bool]step{true: takes, false: rises}[n.do(wants)]
			})
		}
	case rises:
		with(func(n *scene) {
			if n.reader = awaitsTurn; f != wantedIsNotRisen {
				n.rise()
			}
		})
	case awaitsTurn:
		if s.turn {
			with(func(n *scene) { n.turn, n.reader = false, takes })
		}
	case takes:
		with(func(n *scene) { n.word, n.reader = awake, reads })
	}
}

func (s *scene) stepLeader(f flaw, with func(func(*scene))) {
	switch s.leader {
	case isAway:
		if s.calls > 0 {
			with(func(n *scene) {
				if n.calls--; n.do(leads) {
					n.leader = swaps
				}
			})
		}
	case swaps:
		with(func(n *scene) { n.word, n.leader = awake, watches })
	case watches:
		with(func(n *scene) { n.leader = countsAsleep }) // it departs at once: it has its answer, or its ctx had ended before it led
		with(func(n *scene) {
			n.leader = setsDoze
			if n.role == wanted {
				n.leader = countsAsleep
			} else if n.some() {
				n.leader = reads
			}
		})
	case setsDoze:
		with(func(n *scene) { n.word, n.leader = dozing, looks })
	case looks:
		with(func(n *scene) {
			n.leader = map[bool]step{true: isBack, false: doze}[n.some() && f != leaderSleepsBeforeItLooks || n.role == wanted]
		})
		with(func(n *scene) { n.leader = isBack }) // its ctx has ended
	case doze:
		with(func(n *scene) { n.leader = map[bool]step{true: isDozing, false: isBack}[n.word == dozing] })
	case isBack:
		with(func(n *scene) { n.word, n.leader = awake, map[bool]step{true: reads, false: countsAsleep}[n.some()] })
	case reads:
		if s.records != s.asides {
			with(func(n *scene) { n.leader = countsAsleep })
			return
		}
		with(func(n *scene) { n.head, n.leader = n.tail, watches })
		with(func(n *scene) { n.head, n.leader = n.tail, countsAsleep }) // that was its answer
	case countsAsleep:
		with(func(n *scene) { n.countSleep(f, false); n.leader = setsAsleep })
	case setsAsleep:
		with(func(n *scene) { n.countSleep(f, true); n.leader = wakesReader })
	case wakesReader:
		with(func(n *scene) {
			if n.leader = looksAgain; n.naps && f != readerIsLeftDozing {
				n.wake()
			}
		})
	case looksAgain:
		with(func(n *scene) { n.rest, n.leader = n.some() && f != leaderDoesNotLookAgain, goes })
	case goes:
		with(func(n *scene) {
			if n.leader = isAway; n.do(leaves) {
				n.turn = true
			} else if n.rest {
				n.roused = true
			}
			n.rest = false
		})
	}
}

func (s *scene) stepPeer(with func(func(*scene))) {
	switch s.peer {
	case isQuiet:
		if s.writes > 0 {
			with(func(n *scene) { n.writes--; n.tail++; n.peer = loads })
			with(func(n *scene) { n.writes--; n.recs++; n.peer = counts })
		} else if s.ends && !s.gone {
			with(func(n *scene) { n.gone = true })
		}
	case loads:
		with(func(n *scene) { n.saw, n.peer = n.word, swapsWord })
	case swapsWord:
		with(func(n *scene) {
			n.peer = isQuiet
			if n.saw == awake || n.word != n.saw {
				return
			}
			if n.word = awake; n.saw == dozing {
				n.wake()
			} else {
				n.bells++
			}
		})
	case counts:
		with(func(n *scene) { n.asides++; n.peer = rousesDozing })
	case rousesDozing:
		with(func(n *scene) { n.peer = isQuiet; n.rise() })
	}
}
