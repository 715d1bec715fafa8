package link

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/shared/wire"
)

// Bounds of one packet. A packet is sent as soon as there is a frame; the bounds
// only cut what has queued up meanwhile.
const (
	batchFrames = 512
	batchBytes  = 256 << 10
	// fragment is the largest payload of one frame; larger ones go in pieces, so
	// that control frames can pass between them.
	fragment = 128 << 10
	// frameCost is what a frame counts beside its payload.
	frameCost = 32
)

// Lane says in which of the two queues a frame waits.
type Lane uint8

const (
	// Control frames go before data and keep their order among themselves.
	Control Lane = iota
	// Data frames keep their order among themselves.
	Data
)

// outbox is a guarded table: the frames that wait for the writer. Its bound is
// the credit that the peer has given: put never blocks.
type outbox struct {
	mu      sync.Mutex
	control []*wire.Frame
	data    []waiting
	offset  int           // how much of data[0]'s payload has been sent
	queued  uint64        // control frames that were ever put
	taken   uint64        // control frames that were ever taken
	last    *wire.Frame   // the Bye, sent when both queues are empty
	closed  bool          // no frame is taken any more
	wake    chan struct{} // cap 1: there may be something to send
}

// waiting is a data frame. It goes after the control frames that were put before
// it, so that it never overtakes its own dialog's Start or Started; those that are
// put later may pass it, but do not hold it up for ever.
type waiting struct {
	*wire.Frame
	after uint64 // value of queued when it was put
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put queues a frame. It reports false once the outbox is closed.
func (o *outbox) put(lane Lane, f *wire.Frame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if lane == Control {
		o.control = append(o.control, f)
		o.queued++
	} else {
		o.data = append(o.data, waiting{f, o.queued})
	}
	o.signal()
	return true
}

// close takes no further frames; last goes out after those that are queued.
func (o *outbox) close(last *wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed, o.last = true, last
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take removes the next batch; end is true if it is the last one.
func (o *outbox) take() (batch []*wire.Frame, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := batcher{}
	for len(o.control) > 0 && b.hasRoom() {
		b.add(o.control[0])
		o.control[0] = nil
		o.control = o.control[1:]
		o.taken++
	}
	b.reserve() // control never starves data altogether
	for len(o.data) > 0 && o.data[0].after <= o.taken && b.hasRoom() {
		b.add(o.nextData())
	}
	if o.closed && len(o.control) == 0 && len(o.data) == 0 {
		if o.last != nil {
			b.add(o.last)
			o.last = nil
		}
		end = true
	}
	return b.frames, end
}

// nextData removes the next data frame, or the next piece of it.
func (o *outbox) nextData() *wire.Frame {
	f := o.data[0].Frame
	rest := f.Payload[o.offset:]
	if len(rest) > fragment {
		piece := &wire.Frame{Dialog: f.Dialog, Kind: f.Kind, Payload: rest[:fragment], More: true}
		if o.offset == 0 {
			piece.Total = uint64(len(rest))
		}
		o.offset += fragment
		return piece
	}
	if o.offset > 0 {
		f.Payload = rest // the last piece carries all other fields
		o.offset = 0
	}
	o.data[0] = waiting{}
	o.data = o.data[1:]
	return f
}

// batcher gathers one packet within the bounds.
type batcher struct {
	frames []*wire.Frame
	bytes  int
	extra  int
}

func (b *batcher) hasRoom() bool {
	return len(b.frames) < batchFrames+b.extra && b.bytes < batchBytes+b.extra*fragment
}

func (b *batcher) reserve() { b.extra = 1 }

func (b *batcher) add(f *wire.Frame) {
	b.frames = append(b.frames, f)
	b.bytes += size(f)
}

// size is about what a frame has on the wire.
func size(f *wire.Frame) int {
	if f.Fault == nil && f.Start == nil {
		return len(f.Payload) + frameCost
	}
	return proto.Size(f)
}
