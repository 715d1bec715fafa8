package link

import (
	"slices"
	"sync"

	"github.com/seed-2ba35074/trellis/shared/wire"
)

// Bounds of what goes out at once. It is sent as soon as there is a frame; the
// bounds only cut what has queued up meanwhile.
const (
	batchBytes = 256 << 10
	// fragment is the largest payload of one frame; larger ones go in pieces, so
	// that control frames can pass between them.
	fragment = 128 << 10
	// runBytes is how much of small frames lies in one piece of memory.
	runBytes = 16 << 10
)

// Copied is the size in bytes up to which a payload is copied by Send. A larger one
// is sent from where it lies: its memory belongs to the link then.
const Copied = 16 << 10

// Lane says in which of the two queues a frame waits.
type Lane uint8

const (
	// Control frames go before data and keep their order among themselves.
	Control Lane = iota
	// Data frames keep their order among themselves.
	Data
)

// outbox is a guarded table: the frames that wait for the writer, encoded. Its bound
// is the credit that the peer has given: put never blocks.
type outbox struct {
	mu      sync.Mutex
	control []run
	data    []run
	offset  int         // how much of data[0]'s large payload has been sent
	queued  uint64      // control frames that were ever put
	taken   uint64      // control frames that were ever taken
	last    *wire.Frame // the Bye, sent when both queues are empty
	closed  bool        // no frame is taken any more
	wake    chan struct{}
}

// run is some frames that go out one after the other: small ones, encoded, or one with
// a large payload.
//
// Data goes after the control frames that were put before it, so that it never
// overtakes its own dialog's Start or Started; those that are put later may pass it,
// but do not hold it up for ever.
type run struct {
	small    *wire.Buffer
	large    *wire.Frame
	owner    *wire.Buffer // of the large payload; nil if it is nobody's
	after    uint64       // value of queued when the last of its frames was put
	sealed   bool         // takes no more frames
	frames   int
	payloads int // bytes
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put queues a frame. owner is what its payload lies in, and belongs to the outbox if
// that takes the frame; nil if the payload is nobody's. put reports false once the
// outbox is closed. f itself stays the caller's.
func (o *outbox) put(lane Lane, f *wire.Frame, owner *wire.Buffer) (ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false, nil
	}
	queue := &o.data
	if lane == Control {
		queue = &o.control
	}
	if lane == Data && len(f.Payload) > Copied {
		*queue = append(*queue, run{large: clone(f), owner: owner, sealed: true})
	} else {
		if err := room(queue, len(f.Payload)).add(f); err != nil {
			return false, err
		}
		owner.Free()
	}
	if lane == Control {
		o.queued++
	}
	(*queue)[len(*queue)-1].after = o.queued
	o.signal()
	return true, nil
}

// room gives the run that a small frame goes into.
func room(queue *[]run, payload int) *run {
	const head = 64 // at most, of most frames; others make the memory grow
	if n := len(*queue); n > 0 {
		if r := &(*queue)[n-1]; !r.sealed && r.small.Available() >= payload+head {
			return r
		}
	}
	*queue = append(*queue, run{small: wire.NewBuffer(max(runBytes, payload+head))})
	return &(*queue)[len(*queue)-1]
}

// add encodes a small frame.
func (r *run) add(f *wire.Frame) error {
	b, err := wire.AppendFrame(r.small.AvailableBuffer(), f)
	if err != nil {
		return err
	}
	_, _ = r.small.Write(b) // a buffer takes everything
	r.frames++
	r.payloads += len(f.Payload)
	return nil
}

// clone is a frame with the same content.
func clone(f *wire.Frame) *wire.Frame {
	return &wire.Frame{
		Dialog: f.Dialog, Kind: f.Kind, Payload: f.Payload, Probe: f.Probe,
		Start: f.Start, Window: f.Window,
	}
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

// take moves what goes out next into b; end is true if it is the last.
func (o *outbox) take(b *batch) (end bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for ; n < len(o.control) && b.bytes < batchBytes; n++ {
		b.add(&o.control[n])
		o.taken = o.control[n].after
	}
	o.control = slices.Delete(o.control, 0, n)
	if err := o.takeData(b); err != nil {
		return false, err
	}
	if !o.closed || len(o.control) > 0 || len(o.data) > 0 {
		return false, nil
	}
	if o.last != nil {
		var bye run
		bye.small = wire.NewBuffer(runBytes)
		if err := bye.add(o.last); err != nil {
			return false, err
		}
		b.add(&bye)
		o.last = nil
	}
	return true, nil
}

// takeData adds data, and some of it always: control never starves it altogether.
func (o *outbox) takeData(b *batch) (err error) {
	n := 0
	for first := true; n < len(o.data) && (first || b.bytes < batchBytes); first = false {
		r := &o.data[n]
		if r.after > o.taken {
			r.sealed = true // or what comes would hold it up further
			break
		}
		if r.large == nil {
			b.add(r)
			n++
			continue
		}
		if o.offset, err = b.addPiece(r, o.offset); err != nil {
			return err
		}
		if o.offset == 0 {
			n++
		}
	}
	o.data = slices.Delete(o.data, 0, n)
	return nil
}

// batch is what goes out at once.
type batch struct {
	parts    wire.Batch
	bytes    int
	frames   int
	payloads int            // bytes
	used     []*wire.Buffer // to be freed when it has gone
}

// add adds a run of small frames.
func (b *batch) add(r *run) {
	b.append(r.small.Bytes(), r.small)
	b.frames += r.frames
	b.payloads += r.payloads
}

func (b *batch) append(part []byte, owner *wire.Buffer) {
	b.parts = append(b.parts, part)
	b.bytes += len(part)
	if owner != nil {
		b.used = append(b.used, owner)
	}
}

// addPiece adds the next piece of a large payload, of which offset bytes have gone. It
// returns how many have gone then, 0 if that was the last piece.
func (b *batch) addPiece(r *run, offset int) (int, error) {
	f, owner := r.large, (*wire.Buffer)(nil)
	payload := f.Payload[offset:]
	next := 0
	if len(payload) > fragment {
		f = &wire.Frame{Dialog: f.Dialog, Kind: f.Kind, More: true}
		if offset == 0 {
			f.Total = uint64(len(payload))
		}
		payload = payload[:fragment]
		next = offset + fragment
	} else {
		owner = r.owner // the last piece carries all other fields
	}
	f.Payload = payload
	head := wire.NewBuffer(0)
	encoded, err := wire.AppendFrameHead(head.AvailableBuffer(), f)
	if err != nil {
		return 0, err
	}
	_, _ = head.Write(encoded) // a buffer takes everything
	b.append(head.Bytes(), head)
	b.append(payload, owner)
	b.frames++
	b.payloads += len(payload)
	return next, nil
}

// release lets go of everything.
func (b *batch) release() {
	for _, buffer := range b.used {
		buffer.Free()
	}
	clear(b.used)
	clear(b.parts)
	*b = batch{parts: b.parts[:0], used: b.used[:0]}
}
