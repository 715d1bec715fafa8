package trellistest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// mostUnderWay is how many frames a connection holds in one direction before Send waits, as a
// socket does whose buffer is full. A packet that has begun is taken whole.
const mostUnderWay = 256

// connection is a link's transport inside this process, which can be slow, stalled, damaged and
// cut. It has no goroutine: frames lie in it until they are due. mu guards all of it; changed
// is closed, and replaced, when something that somebody waits for may have come.
type connection struct {
	mu      sync.Mutex
	changed chan struct{}
	lanes   [2]lane // by Direction
	left    int     // frames until then is called, unless that is nil
	then    func()  // with mu; once
	cut     bool    // nothing goes in any more; what is due comes out
}

// lane is one direction.
type lane struct {
	underWay []arrival
	sent     int // frames
	delay    func(frame int) time.Duration
	last     time.Time // when the last frame is due
	stalled  bool
	corrupt  bool // the next packet arrives damaged
	ended    bool // by CloseSend
}

// arrival is a frame on its way, or the error with which the way ends.
type arrival struct {
	frame *wire.Frame
	err   error
	due   time.Time // the zero time: at once
}

func newConnection() *connection { return &connection{changed: make(chan struct{})} }

// ends are the transports of the parent and of the actor.
func (c *connection) ends() (parent, actor link.Transport) {
	return &end{connection: c, out: ToActor, in: FromActor}, &end{connection: c, out: FromActor, in: ToActor}
}

// change changes the connection, and wakes whoever waits for it.
func (c *connection) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// end is one end of a connection.
type end struct {
	*connection
	out, in Direction
	aborted bool // by this end; guarded by mu
}

// Send waits while too much is under way. The packet is decoded here, as its memory is the
// sender's again afterwards.
func (e *end) Send(b wire.Batch) error {
	for {
		wait, err := e.trySend(b)
		if wait == nil {
			return err
		}
		<-wait
	}
}

func (e *end) trySend(b wire.Batch) (wait <-chan struct{}, err error) {
	e.mu.Lock()
	full := len(e.lanes[e.out].underWay) >= mostUnderWay && !e.cut
	wait = e.changed
	e.mu.Unlock()
	if full {
		return wait, nil
	}
	e.change(func() { err = e.put(b) })
	return nil, err
}

// put sends the frames of a packet on their way. The caller holds mu.
func (e *end) put(b wire.Batch) error {
	l := &e.lanes[e.out]
	if e.cut {
		return io.ErrClosedPipe
	}
	if l.corrupt {
		l.corrupt = false
		l.underWay = append(l.underWay, arrival{err: damaged(b), due: l.next()})
		return nil
	}
	packet, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	for _, f := range packet.Frames {
		if e.count(); e.cut {
			return io.ErrClosedPipe
		}
		l.underWay = append(l.underWay, arrival{frame: f, due: l.next()})
	}
	return nil
}

// count counts a frame, and does what is to be done instead of it or before. The caller holds mu.
func (c *connection) count() {
	if c.left--; c.then == nil || c.left >= 0 {
		return
	}
	then := c.then
	c.then = nil
	then()
}

// next is when the next frame is due. None overtakes another.
func (l *lane) next() time.Time {
	l.sent++
	if l.delay == nil {
		return l.last
	}
	if due := time.Now().Add(l.delay(l.sent)); due.After(l.last) {
		l.last = due
	}
	return l.last
}

// damaged is what reading a packet fails with whose first byte has changed on the way.
func damaged(b wire.Batch) error {
	text := slices.Concat(b...)
	text[0] ^= 0xff
	if _, err := wire.NewPacketReader(bytes.NewReader(text)).Next(); err != nil {
		return err
	}
	return errors.New("the packet is damaged")
}

// Recv gives the frames that are due.
func (e *end) Recv() (*wire.Packet, error) {
	for {
		frames, until, err := e.take()
		if len(frames) > 0 || err != nil {
			return &wire.Packet{Frames: frames}, err
		}
		if until.patience <= 0 {
			<-until.changed
			continue
		}
		timer := time.NewTimer(until.patience)
		select {
		case <-until.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look is when it makes sense to look again: at a change, or after patience unless it is 0.
type look struct {
	changed  <-chan struct{}
	patience time.Duration
}

// take takes what is due out of the connection.
func (e *end) take() (frames []*wire.Frame, again look, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.lanes[e.in]
	again.changed = e.changed
	if e.aborted || (e.cut && (l.stalled || len(l.underWay) == 0)) {
		return nil, again, io.EOF
	}
	if l.stalled {
		return nil, again, nil
	}
	now, n := time.Now(), 0
	for ; n < len(l.underWay) && !l.underWay[n].due.After(now) && l.underWay[n].err == nil; n++ {
		frames = append(frames, l.underWay[n].frame)
	}
	if n > 0 {
		l.underWay = slices.Delete(l.underWay, 0, n)
		close(e.changed) // there is room
		e.changed = make(chan struct{})
		return frames, again, nil
	}
	switch {
	case len(l.underWay) == 0 && l.ended:
		return nil, again, io.EOF
	case len(l.underWay) == 0:
		return nil, again, nil
	}
	next := l.underWay[0]
	if wait := next.due.Sub(now); wait > 0 {
		again.patience = wait
		return nil, again, nil
	}
	return nil, again, next.err
}

// lastDue is when the last of what is under way arrives; zero if nothing does by waiting alone.
func (c *connection) lastDue() (last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for i := range c.lanes {
		l := &c.lanes[i]
		if n := len(l.underWay); n > 0 && !l.stalled && l.underWay[n-1].due.After(now) && l.underWay[n-1].due.After(last) {
			last = l.underWay[n-1].due
		}
	}
	return last
}

func (e *end) CloseSend() error {
	e.change(func() { e.lanes[e.out].ended = true })
	return nil
}

// Abort breaks both directions. The peer still gets what is under way, since a Bye may be among
// it.
func (e *end) Abort() { e.change(func() { e.aborted, e.cut = true, true }) }

// severed cuts the connection with all that is under way. The caller holds mu.
func (c *connection) severed() {
	c.cut = true
	for i := range c.lanes {
		c.lanes[i].underWay = nil
	}
}
