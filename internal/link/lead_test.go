package link_test

import (
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pipe"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// lent is a transport with a packet for each time that a leader looks, and none for the reader, which waits until a leader says
// that it must go on, or the end.
type lent struct {
	link.Transport
	packet   func() *wire.Packet
	given    int
	idles    chan struct{} // closed when the reader waits
	goOn     chan struct{} // has room for all
	departed []bool        // what leaders have said when they left
}

func (l *lent) Idle(bool) {
	close(l.idles)
	<-l.goOn
}

func (l *lent) Lead() bool { return true }

func (l *lent) RecvNow(func() bool) (*wire.Packet, error) {
	l.given++
	return l.packet(), nil
}

func (l *lent) Depart(must bool) {
	if l.departed = append(l.departed, must); must {
		l.goOn <- struct{}{}
	}
}

func (l *lent) Abort() {
	l.Transport.Abort()
	select {
	case l.goOn <- struct{}{}:
	default:
	}
}

func newLent(packet func() *wire.Packet) (l *lent, one end) {
	near, _ := pipe.New()
	l = &lent{Transport: near, packet: packet, idles: make(chan struct{}), goOn: make(chan struct{}, 10)}
	one = end{link.New(l, link.Config{Self: actor.NewID("a")}), &inbox{}}
	one.Start(one.in)
	<-l.idles // so that others may lead
	return l, one
}

// lead leads once, with a wait that does not end by itself.
func lead(t *testing.T, one end) {
	t.Helper()
	if !one.TryLead() {
		t.Fatal("it may not lead")
	}
	one.Lead(func() bool { return false })
}

// P13: a leader goes back to a wait with clocks if only others get something, however fast that is.
func TestP13_LeadingIsBounded(t *testing.T) {
	first := hello()
	l, one := newLent(func() *wire.Packet {
		f := first
		first = message(1, []byte("for somebody else"))
		return &wire.Packet{Frames: []*wire.Frame{f}}
	})
	lead(t, one)
	if l.given < 2 || l.given > 100 || len(one.in.all()) != l.given-1 {
		t.Errorf("it was given %d packets, of which %d were handled", l.given, len(one.in.all()))
	}
	if len(l.departed) != 1 || l.departed[0] {
		t.Errorf("it has left with %v, expected that the reader need not go on", l.departed)
	}
	one.Abort(errBoom)
	<-one.Done()
}

// C16: a leader that has cut the peer off leaves the rest to the reader; one that comes before that has begun reads nothing.
func TestC16_NobodyReadsAfterALeaderHasCutThePeerOff(t *testing.T) {
	l, one := newLent(func() *wire.Packet { return &wire.Packet{Frames: []*wire.Frame{message(1, nil)}} }) // the first must be HELLO
	if !one.TryLead() || !one.TryLead() {                                                                  //nolint:staticcheck // which this transport lets anybody
		t.Fatal("it may not lead")
	}
	one.Lead(func() bool { return false })
	one.Lead(func() bool { return false })
	if l.given != 1 {
		t.Errorf("%d packets were taken, expected the one that the peer was cut off for", l.given)
	}
	<-one.Done()
	if err := one.Err(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("the link has ended with %v", err)
	}
}
