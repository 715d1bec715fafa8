// Package pipe is a connection of two actors inside one process, for tests.
package pipe

import (
	"io"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// depth is how many packets a pipe holds before Send blocks, as a socket does when its
// buffer is full.
const depth = 4

// New returns the two ends of a connection inside this process. What goes through is copied.
func New() (a, b link.Transport) {
	ab, ba := make(chan *wire.Packet, depth), make(chan *wire.Packet, depth)
	cut := &cutter{ch: make(chan struct{})}
	return &end{out: ab, in: ba, cut: cut}, &end{out: ba, in: ab, cut: cut}
}

// cutter is shared by the two ends: an Abort at either breaks both directions, as with a socket.
type cutter struct {
	once sync.Once
	ch   chan struct{}
}

type end struct {
	out, in chan *wire.Packet
	cut     *cutter
}

// Send asks first whether the pipe was cut: of two cases that are ready, select takes any.
func (e *end) Send(b wire.Batch) error {
	packet, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	select {
	case <-e.cut.ch:
		return io.ErrClosedPipe
	default:
	}
	select {
	case e.out <- packet:
		return nil
	case <-e.cut.ch:
		return io.ErrClosedPipe
	}
}

// Recv gives what was sent before a cut, since a peer's Bye may be among it.
func (e *end) Recv() (*wire.Packet, error) {
	select {
	case packet, ok := <-e.in:
		if ok {
			return packet, nil
		}
		return nil, io.EOF
	default:
	}
	select {
	case packet, ok := <-e.in:
		if ok {
			return packet, nil
		}
		return nil, io.EOF
	case <-e.cut.ch:
		return nil, io.ErrClosedPipe
	}
}

func (e *end) CloseSend() error {
	close(e.out)
	return nil
}

func (e *end) Abort() { e.cut.once.Do(func() { close(e.cut.ch) }) }

// SendNow sends all or nothing. There is one sender, so that room which is there does not go away.
func (e *end) SendNow(b wire.Batch) (sent int, err error) {
	if len(e.out) == cap(e.out) {
		return 0, nil
	}
	for _, part := range b {
		sent += len(part)
	}
	return sent, e.Send(b)
}
