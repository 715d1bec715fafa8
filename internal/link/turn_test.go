package link

import (
	"fmt"
	"strings"
	"testing"
)

// The whole table of the hand-over, one line for each state: begin, return, wait, look.
func TestTurns(t *testing.T) {
	names := [turnStates]string{"reads", "rests", "runs", "seen", "gone"}
	want := strings.Join([]string{
		"reads: runs+arm | reads | reads | reads",
		"rests: runs | rests | rests | reads",
		"runs: runs | rests | gone+succeed | seen+arm",
		"seen: seen | rests | gone+succeed | gone+succeed",
		"gone: gone | gone | gone | gone",
	}, "\n")
	var got []string
	for s := range turnStates {
		var rules []string
		for _, r := range turns[s] {
			rules = append(rules, names[r.next]+map[turnAction]string{turnArm: "+arm", turnSucceed: "+succeed"}[r.do])
		}
		got = append(got, names[s]+": "+strings.Join(rules, " | "))
	}
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// player is one goroutine that has read, as far as the model looks: what it is doing, and its turn.
type player struct {
	state turnState
	armed bool // its watchdog
	doing doing
	looks uint8 // of the watchdog, since its guest has begun
	told  uint8 // how often its guest has heard HandedOver
}

type doing uint8

const (
	absent  doing = iota
	reading       // takes frames
	hosting       // its guest runs
	blocked       // its guest waits, and does not return before others have read
	gone
)

// stage is a state of the model: a link with room for some readers, and how many guests are to come.
type stage struct {
	players [3]player
	guests  uint8
}

// TestModelTurns explores every interleaving of readers, guests and watchdogs. At all times at most one
// goroutine reads; one that has handed over never reads again; a guest that blocks is noticed by the
// second look of a watchdog that is armed; each guest hears at most once that it was left.
func TestModelTurns(t *testing.T) {
	first := stage{guests: 4}
	first.players[0].doing = reading
	seen := map[stage]bool{first: true}
	for queue := []stage{first}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if broken := s.broken(); broken != "" {
			t.Fatalf("%s: %+v", broken, s)
		}
		next := s.next()
		for _, n := range next {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
		if s.stuck(next) {
			t.Fatalf("nobody will ever read again: %+v", s)
		}
	}
	t.Logf("%d states", len(seen))
	if len(seen) < 500 {
		t.Error("the model has become too small to show anything")
	}
}

func (s *stage) broken() string {
	readers := 0
	for i, p := range s.players {
		switch {
		case p.doing == reading && p.state == turnIsOver:
			return fmt.Sprintf("goroutine %d reads although its turn is over", i)
		case (p.doing == hosting || p.doing == blocked) && p.state != turnIsOver && !p.armed:
			return fmt.Sprintf("nobody watches the guest of goroutine %d", i)
		case p.looks > 1 && (p.doing == hosting || p.doing == blocked) && p.state != turnIsOver:
			return fmt.Sprintf("the guest of goroutine %d was not left at the second look", i)
		case p.told > 1:
			return fmt.Sprintf("a guest of goroutine %d was told twice", i)
		}
		if p.doing != absent && p.doing != gone && p.state != turnIsOver {
			readers++
		}
	}
	if readers > 1 {
		return fmt.Sprintf("%d goroutines have the turn", readers)
	}
	return ""
}

// stuck reports whether the reading stands still for good.
func (s *stage) stuck(next []stage) bool {
	for _, p := range s.players {
		if p.doing == reading {
			return false
		}
	}
	return len(next) == 0
}

// next is all that can happen.
func (s *stage) next() (all []stage) {
	for i := range s.players {
		p := &s.players[i]
		switch p.doing {
		case reading:
			if s.guests > 0 && i+1 < len(s.players) {
				all = append(all, s.with(i, turnBegin, func(p *player, n *stage) { p.doing, p.looks, p.told = hosting, 0, 0; n.guests-- }))
			}
		case hosting:
			all = append(all,
				s.with(i, turnReturn, func(p *player, _ *stage) { p.doing = reading; p.leave() }),
				s.with(i, turnWait, func(*player, *stage) {}),                     // it calls something that waits
				s.with(i, turnWait, func(p *player, _ *stage) { p.doing = gone }), // runtime.Goexit
				s.with(i, turnEvents, func(p *player, _ *stage) { p.doing = blocked }))
		case blocked: // it goes on once somebody else reads
			if p.state == turnIsOver {
				all = append(all, s.with(i, turnReturn, func(p *player, _ *stage) { p.doing = reading; p.leave() }))
			}
		case absent, gone:
		}
		if p.armed {
			all = append(all, s.with(i, turnLook, func(p *player, _ *stage) { p.looks++ }))
		}
	}
	return all
}

// leave is what read does when a guest has returned.
func (p *player) leave() {
	if p.state == turnIsOver {
		p.doing = gone
	}
}

// with is what has become of the stage when one goroutine's turn has had an event; turnEvents is none.
func (s *stage) with(i int, e turnEvent, then func(p *player, n *stage)) stage {
	n := *s
	p := &n.players[i]
	if e == turnLook {
		p.armed = false
	}
	if e != turnEvents {
		r := turns[p.state][e]
		p.state, p.armed = r.next, p.armed || r.do == turnArm
		if r.do == turnSucceed {
			p.told++
			n.players[i+1] = player{doing: reading}
		}
	}
	then(p, &n)
	return n
}
