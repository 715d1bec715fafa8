package trellistest

import (
	"fmt"
	"time"
)

// Direction is one of the two of a link.
type Direction uint8

// The directions.
const (
	ToActor   Direction = iota // from the parent, which the test is
	FromActor                  // from the actor
)

func (d Direction) String() string {
	switch d {
	case ToActor:
		return "to the actor"
	case FromActor:
		return "from the actor"
	}
	return fmt.Sprintf("direction %d", uint8(d))
}

// Faults are what can be wrong with the link of an actor. They are its methods: what is done to
// a link holds from then on, and when the test ends the link is mended, so that the actor can
// be asked to end. A link that is cut stays cut; both ends then see a [*fault.LinkLost], as
// after the loss of a real connection, and the actor ends by itself. All methods may be called
// at any time, from any goroutine.
type Faults struct{ connection *connection }

// Delay makes each frame take d, in both directions. Frames do not overtake each other.
func (f Faults) Delay(d time.Duration) {
	f.DelayEach(func(Direction, int) time.Duration { return d })
}

// DelayEach asks for the delay of each frame; frame is its number in that direction, from 1.
// delay must not call anything of the actor.
func (f Faults) DelayEach(delay func(to Direction, frame int) time.Duration) {
	f.connection.change(func() {
		for _, d := range []Direction{ToActor, FromActor} {
			f.connection.lanes[d].delay = func(frame int) time.Duration { return delay(d, frame) }
		}
	})
}

// Stall holds up everything in one direction, until Resume. Senders go on until the link's
// buffers are full, and then wait.
func (f Faults) Stall(d Direction) {
	f.connection.change(func() { f.connection.lanes[d].stalled = true })
}

// Resume ends a Stall.
func (f Faults) Resume(d Direction) {
	f.connection.change(func() { f.connection.lanes[d].stalled = false })
}

// Cut cuts the link. What is under way is lost.
func (f Faults) Cut() { f.connection.change(f.connection.severed) }

// CutAfter cuts the link when n more frames have been sent, both directions counted together, and
// the next one is about to be. That one is lost, and so are those of the n that have not been read
// by then: the ones that are delayed or stalled, and others if they follow each other closely.
func (f Faults) CutAfter(n int) { f.after(n, f.connection.severed) }

// after calls then, with the connection's lock, when the frame after the next n is sent.
func (f Faults) after(n int, then func()) {
	f.connection.change(func() { f.connection.left, f.connection.then = n, then })
}

// Corrupt damages the next packet in one direction. Its receiver gives up the link.
func (f Faults) Corrupt(d Direction) {
	f.connection.change(func() { f.connection.lanes[d].corrupt = true })
}

// mend ends what holds up the link. What is under way is due at once.
func (f Faults) mend() {
	f.connection.change(func() {
		for i := range f.connection.lanes {
			l := &f.connection.lanes[i]
			l.delay, l.last, l.stalled, l.corrupt = nil, time.Time{}, false, false
			for n := range l.underWay {
				l.underWay[n].due = time.Time{}
			}
		}
		f.connection.then = nil
	})
}
