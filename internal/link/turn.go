package link

import (
	"sync/atomic"
	"time"
)

// A Receiver may run code on the reader's goroutine that takes as long as it likes, such as an author's
// handler: that saves a goroutine and two switches. The reading is then handed over before anybody notices:
// at once when that code says that it is about to wait (HandOver), by a watchdog when it takes long,
// and when it calls runtime.Goexit. Another goroutine reads from there on, and the old one never
// again. docs/decisions/in-place-handlers.md says what this is worth.

const (
	// watch is how often the watchdog looks. Code that it sees twice has its reading taken away, so
	// that nobody waits for more than two of these.
	watch = time.Millisecond
	// mostGuests run one after the other of what has come at once, as all frames behind them wait. That is
	// two watches as well, if each takes no longer than the 20 µs that such code may usually take. None
	// run behind one that the watchdog has seen, so that what waits does so for one of those only.
	mostGuests = 100
)

// turnState is where one goroutine's turn at reading stands. The zero value reads, and is not
// watched.
type turnState uint32

const (
	turnReads  turnState = iota
	turnRests            // reads; the watchdog will look once more
	turnRuns             // code runs in place; the watchdog has not seen it yet
	turnSeen             // code runs in place, and has at the watchdog's last look
	turnIsOver           // another goroutine reads
	turnStates
)

// turnEvent is what may happen to a turn.
type turnEvent uint8

const (
	turnBegin  turnEvent = iota // code is about to run in place
	turnReturn                  // it has returned
	turnWait                    // it is about to wait, or has called runtime.Goexit
	turnLook                    // the watchdog looks
	turnEvents
)

// turnAction is what is to be done about it, by whoever made it happen.
type turnAction uint8

const (
	turnArm     turnAction = 1 + iota // let the watchdog look, a watch from now
	turnSucceed                       // let another goroutine read
)

type turnRule struct {
	next turnState
	do   turnAction
}

// turns is the whole hand-over, a pure step. The watchdog is armed whenever code runs, and goes on for
// one look more, so that it is not armed and disarmed for each call.
var turns = [turnStates][turnEvents]turnRule{
	// for begin, return, wait and look:
	turnReads:  {{turnRuns, turnArm}, {turnReads, 0}, {turnReads, 0}, {turnReads, 0}},
	turnRests:  {{turnRuns, 0}, {turnRests, 0}, {turnRests, 0}, {turnReads, 0}},
	turnRuns:   {{turnRuns, 0}, {turnRests, 0}, {turnIsOver, turnSucceed}, {turnSeen, turnArm}},
	turnSeen:   {{turnSeen, 0}, {turnRests, 0}, {turnIsOver, turnSucceed}, {turnIsOver, turnSucceed}},
	turnIsOver: {{turnIsOver, 0}, {turnIsOver, 0}, {turnIsOver, 0}, {turnIsOver, 0}},
}

// Turn is one goroutine's turn at reading a link, and ends with that goroutine. Its state is changed in
// one piece, which also keeps apart those who use guest: the reader sets it before that begins, and
// whoever takes the reading away asks it once, after which the reader sets it no more.
type Turn struct {
	link  *Link
	state atomic.Uint32
	guest Guest
	dog   *time.Timer // the watchdog: stopped while nothing runs, but for one look
}

// Guest is code that runs on a reader's goroutine.
type Guest interface {
	// Run runs it. t is the turn of the goroutine that it runs on.
	Run(t *Turn)
	// HandedOver is called once if the reading has been taken from it, and must not block.
	HandedOver()
}

func (l *Link) newTurn() *Turn {
	t := &Turn{link: l}
	t.dog = time.AfterFunc(time.Hour, func() { t.event(turnLook) })
	t.dog.Stop()
	return t
}

// event is something that happens to the turn, in the state that it gives.
func (t *Turn) event(e turnEvent) turnState {
	s := t.state.Load()
	for !t.state.CompareAndSwap(s, uint32(turns[s][e].next)) {
		s = t.state.Load()
	}
	if do := turns[s][e].do; do == turnArm {
		t.dog.Reset(watch)
	} else if do == turnSucceed {
		t.guest.HandedOver()
		t.link.next <- struct{}{} // has room: no other turn ends before this one has begun
	}
	return turnState(s)
}

// HandOver lets another goroutine read, because the guest is about to wait. It may be called at any
// time from anywhere, and does nothing if no guest runs or the reading has been handed over.
func (t *Turn) HandOver() { t.event(turnWait) }

// Holds reports whether the goroutine still reads, or will when its guest has returned.
func (t *Turn) Holds() bool { return turnState(t.state.Load()) != turnIsOver }

// MayRunInPlace reports whether a guest may run that takes next to no time: not, if there have been many
// of what has come at once, the rest of which waits.
func (l *Link) MayRunInPlace() bool { return !l.in.led && l.in.guests < mostGuests }

// RunInPlace runs a guest on the reader's goroutine, from within [Receiver].Frame. When it returns the
// goroutine may not be the reader any more, and touches nothing that is the reader's.
func (l *Link) RunInPlace(g Guest) {
	t := l.in.turn
	t.guest = g
	l.in.guests++
	t.event(turnBegin)
	began := time.Now()
	g.Run(t)
	switch t.event(turnReturn) {
	case turnIsOver:
		return
	case turnSeen: // by chance, if it is one of many that are fast
		if time.Since(began) > 2*watch/mostGuests {
			l.in.guests = mostGuests
		}
	}
	t.guest = nil // its memory need not wait for the next one
}
