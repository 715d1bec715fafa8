package link

import (
	"io"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// pipeDepth is how many packets a pipe holds before Send blocks, as a socket does when its
// buffer is full.
const pipeDepth = 4

// Pipe returns the two ends of a connection inside this process: for tests, and
// for an actor that talks with itself. What goes through is copied.
func Pipe() (a, b Transport) {
	ab, ba := newLane(), newLane()
	cut := &cutter{ch: make(chan struct{})}
	return &pipeEnd{out: ab, in: ba, cut: cut}, &pipeEnd{out: ba, in: ab, cut: cut}
}

type pipeLane struct{ packets chan *wire.Packet }

func newLane() *pipeLane { return &pipeLane{packets: make(chan *wire.Packet, pipeDepth)} }

// cutter is shared by the two ends: an Abort at either breaks both directions, as with a socket.
type cutter struct {
	once sync.Once
	ch   chan struct{}
}

type pipeEnd struct {
	out, in *pipeLane
	cut     *cutter
}

// Send asks first whether the pipe was cut: of two cases that are ready, select takes any.
func (p *pipeEnd) Send(b wire.Batch) error {
	packet, err := wire.NewPacket(b)
	if err != nil {
		return err
	}
	select {
	case <-p.cut.ch:
		return io.ErrClosedPipe
	default:
	}
	select {
	case p.out.packets <- packet:
		return nil
	case <-p.cut.ch:
		return io.ErrClosedPipe
	}
}

// Recv gives what was sent before a cut, since a peer's Bye may be among it.
func (p *pipeEnd) Recv() (*wire.Packet, error) {
	select {
	case packet, ok := <-p.in.packets:
		if ok {
			return packet, nil
		}
		return nil, io.EOF
	default:
	}
	select {
	case packet, ok := <-p.in.packets:
		if ok {
			return packet, nil
		}
		return nil, io.EOF
	case <-p.cut.ch:
		return nil, io.ErrClosedPipe
	}
}

func (p *pipeEnd) CloseSend() error {
	close(p.out.packets)
	return nil
}

func (p *pipeEnd) Abort() { p.cut.once.Do(func() { close(p.cut.ch) }) }

// SendNow sends all or nothing. There is one sender, so that room which is there does not go away.
func (p *pipeEnd) SendNow(b wire.Batch) (sent int, err error) {
	if len(p.out.packets) == cap(p.out.packets) {
		return 0, nil
	}
	for _, part := range b {
		sent += len(part)
	}
	return sent, p.Send(b)
}
