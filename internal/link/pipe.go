package link

import (
	"io"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// pipeDepth is how many packets a pipe holds before Send blocks.
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

type cutter struct {
	once sync.Once
	ch   chan struct{}
}

type pipeEnd struct {
	out, in *pipeLane
	cut     *cutter
}

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
