package control

import (
	"errors"
	"io"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Carry copies the packets of a link between two transports, which belong to it from now on: one that leads to
// each end. over is closed when both directions have ended and both transports are let go of. A direction holds
// one packet at most, and does not look into payloads; frames stay in their order, and so control stays
// ahead of data as the sender has put it. The end of one direction goes on to the other side; a failure ends
// both.
func Carry(a, b link.Transport) (over <-chan struct{}) {
	there, back, done := task.Start(func() { carry(a, b) }), task.Start(func() { carry(b, a) }), make(chan struct{})
	task.Start(func() {
		there.Wait()
		back.Wait()
		a.Abort()
		b.Abort()
		close(done)
	})
	return done
}

// carry copies one direction.
func carry(from, to link.Transport) {
	for {
		p, err := from.Recv()
		if err == nil {
			err = pass(to, p)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && to.CloseSend() == nil:
			return
		default:
			from.Abort()
			to.Abort()
			return
		}
	}
}

// pass sends a packet on. Heads of frames are encoded anew; payloads go out from where they lie.
func pass(to link.Transport, p *wire.Packet) error {
	heads := wire.NewBuffer(0)
	defer heads.Free()
	b := make(wire.Batch, 0, 2*len(p.Frames))
	ends := make([]int, 0, len(p.Frames))
	for _, f := range p.Frames {
		encoded, err := wire.AppendFrameHead(heads.AvailableBuffer(), f)
		if err != nil {
			return err
		}
		_, _ = heads.Write(encoded) // a buffer takes everything
		ends = append(ends, heads.Len())
	}
	begin := 0
	for i, f := range p.Frames {
		b = append(b, heads.Bytes()[begin:ends[i]])
		if begin = ends[i]; len(f.Payload) > 0 {
			b = append(b, f.Payload)
		}
	}
	err := to.Send(b)
	for _, f := range p.Frames {
		wire.FreePayload(f.Payload)
	}
	return err
}
