package link

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Bounds of what goes out at once, in bytes. The writer sends as soon as there is a frame; the
// bounds only cut what has queued up while it was busy.
const (
	// batchBytes is where a batch ends. One frame or piece more may go beyond it.
	batchBytes = 256 << 10
	// fragment is the largest payload of one frame; larger ones go in pieces, so
	// that control frames can pass between them.
	fragment = 128 << 10
	// runBytes is how much of small frames lies in one piece of memory, which is allocated,
	// queued and freed as one.
	runBytes = 16 << 10
)

// Copied is the size in bytes up to which a payload is copied by Send. A larger one
// is sent from where it lies: its memory belongs to the link then.
const Copied = 16 << 10

// Lane says in which of the two queues a frame waits, and on which account.
type Lane uint8

const (
	// Control frames go before the others and keep their order among themselves.
	Control Lane = iota
	// Answer frames wait with the data and are accounted for with Control.
	Answer
	// Data frames keep their order among themselves and with Answer.
	Data
	lanes
)

// account is where a lane's bytes are counted. Control and Answer share one, because both are
// what the peer has asked for: a peer that asks and does not read fills that account, however
// little its credit. Data has one of its own, which only this side's senders fill.
func (l Lane) account() Lane { return max(l, Answer) }

// Bounds of what waits on one account, in bytes. An account becomes congested when it holds more
// than congestion, and stays so until it has fallen to half of that; a single threshold would
// wake and stop its senders for every batch. While it is congested everybody waits who can:
// whoever sends data, whatever credit there is, and tasks whose answers are large. Credit,
// acknowledgements and small answers cannot wait, as they are sent under a dialog's lock or by
// the reader. A peer that leaves more than mostUnread of those unread is cut off.
const (
	congestion = 8 << 20
	mostUnread = 256 << 20
)

// load is one account of what waits. The outbox's mu guards it.
type load struct {
	bytes     int
	gone      uint64         // bytes that do not wait any more
	shares    map[any]*share // of who relays frames; there are none unless it is congested
	congested atomic.Bool    // read without mu
}

func (l *load) add(bytes int) {
	if l.bytes += bytes; l.bytes > congestion {
		l.congested.Store(true)
	}
}

// drop reports whether the account is not congested any more.
func (l *load) drop(bytes int) (drained bool) {
	l.bytes -= bytes
	l.gone += uint64(bytes)
	if drained = l.bytes <= congestion/2 && l.congested.Swap(false); drained {
		l.shares = nil
	}
	return drained
}

// goesAside reports whether a frame goes over the connection itself where data goes another way: what
// ends tasks and links must get there however full that is. It is rare. While the writer waits in
// Transport.Send nothing goes aside either: there is one writer.
func goesAside(k wire.Kind) bool {
	switch k {
	case wire.Kind_KIND_HELLO, wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL, wire.Kind_KIND_CANCEL, wire.Kind_KIND_CANCEL_ACK, wire.Kind_KIND_LOST, wire.Kind_KIND_BYE:
		return true
	}
	return false
}

// outbox is a guarded table: the frames that wait to be written, encoded, and who writes them. It
// belongs to its [Link]. mu guards all of it but what is atomic, and is the last lock that anybody
// takes. put never blocks; close makes it refuse whatever comes later.
//
// One goroutine writes at a time: whoever has got true from begin, until take finds nothing
// more, or pass leaves the rest to the link's writer. All others only put, and leave.
type outbox struct {
	aside bool         // the transport has a way aside; set once
	loads [lanes]load  // of the accounts; congested is read without mu
	corks atomic.Int32 // those who will call begin as soon as they have put something

	mu      sync.Mutex
	control queue
	data    queue
	offset  int // bytes of the first large payload in data that have been sent; 0 between payloads
	// queued counts the control frames that were ever put, and taken those that the writer has
	// taken. Data remembers queued as it was, and goes when taken has reached that (run.after).
	queued  uint64
	taken   uint64
	last    *wire.Frame // the Bye, sent when both queues are empty; nil if none is to be sent
	closed  bool        // no frame is accepted any more
	writing bool        // somebody has begun to write
	// wake holds at most one signal: that there is something to do. The writer then takes
	// until nothing is left, so a signal that finds the channel full is not missed.
	wake chan struct{}
}

func newOutbox(aside bool) *outbox { return &outbox{aside: aside, wake: make(chan struct{}, 1)} }

// run is some frames that go out one after the other: small ones, encoded, or one with
// a large payload.
//
// Data goes after the control frames that were put before it, so that it never
// overtakes its own dialog's Start or Started; those that are put later may pass it,
// but do not hold it up for ever. The writer owns what it has taken, until it has sent it.
type run struct {
	small    *wire.Buffer
	large    *wire.Frame
	owner    *wire.Buffer // of the large payload; nil if it is nobody's
	after    uint64       // value of queued when the last of its frames was put
	aside    bool         // its frames go aside
	sealed   bool         // takes no more frames: it has a large payload, or waits for its turn already
	frames   int
	payloads int // bytes
	loads    loads
}

// loads are the bytes that were counted on each account, to be taken off it again. A run may
// have frames of both accounts, since small frames of Answer and Data lie one behind the other.
type loads [lanes]int

// add encodes a small frame, and gives its size.
func (r *run) add(f *wire.Frame) (bytes int, err error) {
	b, err := wire.AppendFrame(r.small.AvailableBuffer(), f)
	if err != nil {
		return 0, err
	}
	_, _ = r.small.Write(b) // a buffer takes everything
	r.frames++
	r.payloads += len(f.Payload)
	return len(b), nil
}

// queue is a list of runs, the oldest first. Its memory is used again: runs that have gone are
// counted by head, and the others move to the front when they are the smaller part (drop).
type queue struct {
	runs []run
	head int // how many of runs have gone
}

func (q *queue) waiting() []run { return q.runs[q.head:] }

// last is the run that was put last, nil if it has gone.
func (q *queue) last() *run {
	if q.head == len(q.runs) {
		return nil
	}
	return &q.runs[len(q.runs)-1]
}

// put appends a frame, to the last run if that takes it, and gives its size, with the memory that
// is left unused because of it.
func (q *queue) put(f *wire.Frame, owner *wire.Buffer, aside bool) (bytes int, err error) {
	r, unused := q.room(len(f.Payload), aside)
	if bytes, err = r.add(f); err == nil {
		owner.Free()
	}
	return bytes + unused, err
}

// putLarge appends a frame whose payload stays where it is, and gives that one's size, as put does.
// The frame itself is copied, as its pieces are encoded only when they go, and it is the caller's
// again now.
func (q *queue) putLarge(f *wire.Frame, owner *wire.Buffer) (bytes int) {
	bytes = len(f.Payload) + q.unused()
	q.runs = append(q.runs, run{large: clone(f), owner: owner, sealed: true})
	return bytes
}

// room returns the run that a small frame goes into, and what stays unused if that is a new one. A
// run must not grow beyond the memory that it has, or all of it would be copied; so the frame must
// fit with its head.
func (q *queue) room(payload int, aside bool) (r *run, unused int) {
	const head = 64 // at most, of most frames; others make the memory grow
	if r = q.last(); r != nil && !r.sealed && r.aside == aside && r.small.Len() < runBytes && r.small.Available() >= payload+head {
		return r, 0
	}
	unused = q.unused()
	q.runs = append(q.runs, run{small: wire.NewBuffer(max(runBytes, payload+head)), aside: aside})
	return q.last(), unused
}

// unused is the memory that the last run keeps without need when another one follows it. It counts
// with what waits: frames of which each begins a run would otherwise cost much more than they count.
func (q *queue) unused() int {
	if r := q.last(); r != nil && r.small != nil {
		return max(0, runBytes-r.small.Len())
	}
	return 0
}

// drop removes the oldest n runs, and adds the bytes that they were counted with to counted. The
// others move to the front only when at least as many have gone, so that a long queue is not
// moved for each batch: on average a run moves once. What has gone is cleared for the collector.
func (q *queue) drop(n int, counted *loads) {
	gone := q.waiting()[:n]
	for i := range gone {
		for lane, bytes := range gone[i].loads {
			counted[lane] += bytes
		}
	}
	clear(gone)
	q.head += n
	if 2*q.head >= len(q.runs) {
		left := copy(q.runs, q.waiting())
		clear(q.runs[left:])
		q.runs, q.head = q.runs[:left], 0
	}
}

// clone is a frame with the same content. A struct copy would take protobuf's internal state with
// it, which must not be copied.
func clone(f *wire.Frame) *wire.Frame {
	return &wire.Frame{
		Dialog: f.Dialog, Kind: f.Kind, Payload: f.Payload, More: f.More, Probe: f.Probe, Deaf: f.Deaf,
		Yields: f.Yields, Credit: f.Credit, Start: f.Start, Window: f.Window, Overflow: f.Overflow,
		Fault: f.Fault, Cancel: f.Cancel, Hello: f.Hello, Total: f.Total, Attached: f.Attached,
	}
}

// put queues a frame, and wakes the writer unless somebody else is about to write. owner is
// what its payload lies in, and belongs to the outbox if that takes the frame; nil if the
// payload is nobody's. put reports false once the outbox is closed. f itself stays the caller's.
func (o *outbox) put(lane Lane, f *wire.Frame, owner *wire.Buffer) (ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false, nil
	}
	q := &o.data
	if lane == Control {
		q = &o.control
		o.queued++
	}
	var bytes int
	if lane != Control && len(f.Payload) > Copied {
		bytes = q.putLarge(f, owner)
	} else if bytes, err = q.put(f, owner, o.aside && lane == Control && goesAside(f.Kind)); err != nil {
		return false, err
	}
	r, account := q.last(), lane.account()
	r.after = o.queued
	r.loads[account] += bytes
	o.loads[account].add(bytes)
	if !o.writing && o.corks.Load() == 0 {
		o.signal()
	}
	if account == Answer && o.loads[Answer].bytes > mostUnread {
		return false, fmt.Errorf("the peer does not read: %d bytes of answers wait for it", o.loads[Answer].bytes)
	}
	return true, nil
}

// close takes no further frames. last goes out after those that are queued; if it is nil, nothing
// does, and what is queued is dropped. The first last stays, but nil comes through at any time,
// since an Abort must work on a link that is closing. Dropped buffers are left to the collector:
// the writer may be sending from one of them.
func (o *outbox) close(last *wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case last == nil: // what the writer has taken of it stays valid
		o.control, o.data, o.offset, o.last = queue{}, queue{}, 0, nil
	case o.closed:
		return
	default:
		o.last = last
	}
	o.closed = true
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// begin makes its caller the one who writes, and reports false if there already is one, or nothing
// to write. The writer alone ends a link that is closed.
func (o *outbox) begin(writer bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || !writer && (o.closed || o.control.last() == nil && o.data.last() == nil) {
		return false
	}
	o.writing = true
	return true
}

// pass ends the caller's writing, and leaves what there is to the writer.
func (o *outbox) pass() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	o.signal()
}

// take moves what goes out next into b, which is empty; end is true if it is the last. Control comes
// first, up to a batch's size; then data, at least one piece if any may go. The Bye is added when
// the outbox is closed and both queues are empty, so that it is the last frame. Unless mine is true,
// nothing is to be written, or only by the writer: the caller writes no more, and b may be another's.
func (o *outbox) take(b *batch, writer bool) (mine, end bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed && !writer {
		o.writing = false
		o.signal()
		return false, false, nil
	}
	end, err = o.fill(b)
	o.writing = err == nil && b.frames > 0
	return o.writing, end, err
}

// fill is take for a caller that holds mu. What goes aside comes first, so that it stops at control
// that does, behind some that does not.
func (o *outbox) fill(b *batch) (end bool, err error) {
	n := 0
	for waiting := o.control.waiting(); n < len(waiting) && b.bytes < batchBytes && b.takes(&waiting[n]); n++ {
		b.add(&waiting[n])
		o.taken = waiting[n].after
	}
	var gone loads
	o.control.drop(n, &gone)
	if err := o.takeData(b, &gone); err != nil {
		return false, err
	}
	for lane, bytes := range gone {
		b.drained = o.loads[lane].drop(bytes) || b.drained
	}
	if !o.closed || o.control.last() != nil || o.data.last() != nil {
		return false, nil
	}
	if o.last != nil {
		bye := run{small: wire.NewBuffer(runBytes), aside: o.aside}
		if !b.takes(&bye) {
			return false, nil
		}
		if _, err := bye.add(o.last); err != nil {
			return false, err
		}
		b.add(&bye)
		o.last = nil
	}
	return true, nil
}

// takeData adds data, and some of it always: control never starves it altogether. It stops at a
// run whose last frame was put after control frames that have not gone yet. That run is sealed:
// each frame that was added to it would make it wait for still later control, without end.
func (o *outbox) takeData(b *batch, gone *loads) (err error) {
	n := 0
	waiting := o.data.waiting()
	for first := true; n < len(waiting) && (first || b.bytes < batchBytes); first = false {
		r := &waiting[n]
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
	o.data.drop(n, gone)
	return nil
}
