package link

import (
	"runtime"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Leading is a [Transport] from which somebody else than the link's reader can read while that
// waits: a goroutine that waits for what will come. That saves waking the reader, which would only
// wake that goroutine. docs/decisions/leading-callers.md says what it is worth.
type Leading interface {
	Transport
	// Idle is called by the reader before Recv, and returns when that has something to give. Meanwhile others
	// may Lead. soon says that it is worth while to look for something without sleeping.
	Idle(soon bool)
	// Lead reports whether its caller is the one who reads, with RecvNow, until Depart. One goroutine
	// at a time asks.
	Lead() bool
	// RecvNow waits for a packet on its thread, for a moment at most, and returns without one if over,
	// which it asks when it is about to sleep, reports true. It gives none, too, if what has come is for Recv.
	RecvNow(over func() bool) (*wire.Packet, error)
	// Depart ends what Lead has begun. The reader goes on if there is something for it, or must be.
	Depart(must bool)
}

// Leads reports whether [Link.TryLead] can ever succeed.
func (l *Link) Leads() bool { return l.leading != nil }

// TryLead makes its caller the one who reads, if nobody does at the moment: the leader. It reports
// true if so, and [Link.Lead] must follow soon: nothing that comes is handled before. It is called
// before what an answer is wanted to goes out, so that the peer wakes nobody with that. One
// goroutine at a time may ask.
func (l *Link) TryLead() bool {
	if l.leading == nil || !l.leading.Lead() {
		return false
	}
	l.in.led = true
	return true
}

// mostLed is how many packets a leader handles at most. After that, one whose answer has not come, while
// something for others has, is back where its waiting has clocks.
const mostLed = 16

// Lead reads until over reports true, which must not block, nothing comes for a moment, the peer is
// cut off, or mostLed packets have come. Whatever comes is handled as by the reader, but without
// guests: a leader is to return when it has what it waits for. Who has been woken by what has come
// runs before the leader sleeps, or it would wait for this processor.
func (l *Link) Lead(over func() bool) {
	var err error
	for n := 0; n < mostLed && !l.in.cut && !over(); n++ {
		if n > 0 {
			runtime.Gosched()
		}
		var p *wire.Packet
		if p, err = l.leading.RecvNow(over); p == nil {
			break
		}
		l.begin(p)
		l.in.cut = !l.takeAll(l.in.turn)
	}
	l.in.led = false
	l.leading.Depart(err != nil || l.in.cut)
}

// Led reports, within [Receiver].Frame, whether a leader reads.
func (l *Link) Led() bool { return l.in.led }
