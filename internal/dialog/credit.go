package dialog

import (
	"time"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// The flow control of a stream: one account at each end of each direction. The receiver's is
// an inflow, the sender's an outflow. Both are pure structs without a lock; they are fields
// of a [Dialog], whose mu guards them. All inflows of a link share its quota (quota.go). docs/protocol, Streams, has the rules of the wire.

// Defaults of a receive window.
const (
	DefaultMessages = 64
	DefaultBytes    = 4 << 20
	// MostMessages is what a window grows to that nobody has set, while its reader
	// keeps up with a sender that uses all of it.
	MostMessages = 8192
)

// mostRoom bounds both fields of a window. Both ends must cut at the same number:
// a receiver that thought its window larger than the sender does would wait for
// messages before it grants credit, and the sender for credit.
const mostRoom = 1 << 30

// DefaultReadyTimeout is how long a task may take to open its end of a stream once its
// peer has more messages for it than the window has room for.
const DefaultReadyTimeout = 500 * time.Millisecond

// Window is the room that a receiver keeps for one direction of one dialog. More
// than 2^30 of either is taken for 2^30. What is set is what it wants: how much of it there is at
// the moment depends on the quota.
type Window struct {
	Messages int // 64 if 0
	Bytes    int // 4 MiB if 0; a single message may be larger than that
	// Most is how many messages the window may grow to, for a reader that keeps up with
	// its sender: 8,192 if neither this nor Messages is set. Else one that is not more
	// than Messages lets nothing grow.
	Most int
}

// most is what a window as it was set may grow to.
func (w Window) most() int {
	if w.Messages <= 0 && w.Most <= 0 {
		return MostMessages
	}
	return min(w.Most, mostRoom)
}

// orDefault is the room at first.
func (w Window) orDefault() amount {
	if w.Messages <= 0 {
		w.Messages = DefaultMessages
	}
	if w.Bytes <= 0 {
		w.Bytes = DefaultBytes
	}
	return amount{min(w.Messages, mostRoom), min(w.Bytes, mostRoom)}
}

// or fills in what is not set.
func (w Window) or(other Window) Window {
	if w.Messages <= 0 {
		w.Messages = other.Messages
		if w.Most <= 0 {
			w.Most = other.Most
		}
	}
	if w.Bytes <= 0 {
		w.Bytes = other.Bytes
	}
	return w
}

// amount is how much a window has at the moment, or what was sent, taken or granted of it.
type amount struct{ Messages, Bytes int }

func (a amount) plus(b amount) amount  { return amount{a.Messages + b.Messages, a.Bytes + b.Bytes} }
func (a amount) minus(b amount) amount { return amount{a.Messages - b.Messages, a.Bytes - b.Bytes} }
func (a amount) max(b amount) amount {
	return amount{max(a.Messages, b.Messages), max(a.Bytes, b.Bytes)}
}

// upTo is a window of this size at first, which may grow to that many messages.
func (a amount) upTo(most int) Window { return Window{a.Messages, a.Bytes, most} }

func (a amount) wire() *wire.Window {
	return &wire.Window{Messages: uint32(a.Messages), Bytes: uint64(a.Bytes)}
}

func fromWire(w *wire.Window) amount {
	return Window{
		Messages: int(min(w.GetMessages(), mostRoom)),
		Bytes:    int(min(w.GetBytes(), mostRoom)),
	}.orDefault()
}

// outflow is the sender's account of one direction. It is pure: no clock, no I/O. At every
// moment room is at most window; it is below zero after a message that was larger than what
// was left, after a window that shrank, and always where the sender does not wait.
type outflow struct {
	room     amount // what may still be sent
	window   amount // the receiver's window, as it has announced it last
	overflow wire.Overflow
	attached bool // the receiver has opened its end
	deaf     bool // the receiver does not read any more
	stopped  bool // this end has said that it is done
	// probed is set for good when the one message beyond credit has been sent. The sender
	// then waits until the receiver opens its end, stops to read, or fails the dialog.
	probed bool
	// sent counts messages, the probe among them. A failure carries it as its Yields.
	sent uint64
}

// permit is what an outflow lets a sender do.
type permit uint8

const (
	sendIt    permit = iota // there is room
	probeIt                 // no room, and the receiver has not opened: let it judge
	waitForIt               // no room
	dropIt                  // nobody reads any more
)

// ask decides about one message of size bytes, and books it if it may go. Both numbers of
// the room need only be above zero, not large enough: a message may be larger than the whole
// window, which would otherwise never let it pass. A receiver that is not open yet might
// never be, so that waiting for its credit could last for ever; the probe makes it decide.
func (o *outflow) ask(size int) permit {
	switch {
	case o.deaf:
		return dropIt
	case o.overflow != wire.Overflow_OVERFLOW_WAIT, o.room.Messages > 0 && o.room.Bytes > 0:
		o.spend(size)
		return sendIt
	case !o.attached && !o.probed:
		o.probed = true
		o.spend(size)
		return probeIt
	}
	return waitForIt
}

func (o *outflow) spend(size int) {
	o.room = o.room.minus(amount{1, size})
	o.sent++
}

// hangUp ends this direction after a failure, and reports whether a Stop must follow. The
// failure overtakes the messages and only counts them. The Stop travels behind the last of
// them and proves that no more come, so that a receiver who has fewer than were counted
// does not wait for the rest. Without any message there is nothing to wait for.
func (o *outflow) hangUp() bool {
	tell := o.sent > 0 && !o.stopped
	o.stopped = o.stopped || tell
	return tell
}

// grant adds what the receiver has taken. It reports false, and changes nothing, if the room
// would then exceed the window: that is more than was ever sent, and a receiver that invents
// credit could make the sender's account meaningless.
func (o *outflow) grant(w *wire.Window) bool {
	// Beyond any window, and far below where the sum below could overflow an int.
	if w.GetBytes() > 1<<40 {
		return false
	}
	room := o.room.plus(amount{int(w.GetMessages()), int(w.GetBytes())})
	if room.Messages > o.window.Messages || room.Bytes > o.window.Bytes {
		return false
	}
	o.room = room
	return true
}

// attach learns that the receiver has opened its end, and how large its window is from
// now on. That may be less than was announced, and less than was used.
func (o *outflow) attach(w amount, overflow wire.Overflow) bool {
	if o.attached {
		return false
	}
	o.resize(w)
	o.attached, o.overflow = true, overflow
	return true
}

// announce learns the window of an end that has not opened. A large Started may come
// after the Attach that overtook it, which knows better.
func (o *outflow) announce(w amount) {
	if !o.attached {
		o.resize(w)
	}
}

// grow learns from a Credit that the window has become larger. Credit never shrinks it: a
// field that the peer left out reads as the default, which may be less than the window is.
func (o *outflow) grow(w amount) {
	o.resize(w.max(o.window))
}

// resize changes the window, and the room by the same amount. Messages that are under way
// stay booked, so the room may become negative when the window shrinks.
func (o *outflow) resize(w amount) {
	o.room = o.room.plus(w.minus(o.window))
	o.window = w
}

// inflow is the receiver's account and its buffer. It is pure as well. It never allows less
// than the sender believes that it may send: news of a smaller window takes a while to
// arrive, and an honest sender must not be taken for one without credit meanwhile.
type inflow struct {
	window amount
	want   Window // what was set, with what it may grow to; the window is less if that was not to be had
	// lent is the largest that the window has been, and at least what every window may have: the
	// sender may use all of it. beyond is what waits here beyond that. quota counts both.
	lent   amount
	beyond int
	quota  *quota
	// allowed is the most that an honest sender may still send. unused is the part of its
	// messages that the sender will leave when it has learned that the window has shrunk.
	// Every message and every credit moves allowed as it moves the sender's room, so that
	// the difference stays, until the window grows again and grow uses it up.
	allowed  amount
	unused   int
	keep     int      // bytes kept beyond the window with OVERFLOW_KEEP
	queue    [][]byte // messages that have come and were not taken, the oldest first
	queued   int      // bytes in queue; an empty message counts as one, so that it is not free
	taken    amount   // what the reader has taken since the last credit
	overflow wire.Overflow
	attached bool // this end is open
	deaf     bool // this end does not read any more: everything is dropped
	stopped  bool // the sender is done
	probed   bool // the probe, the one message beyond credit, has come
	doubted  bool // the probe is kept, and nobody knows yet whether this end will be opened
	broken   bool // a message was refused: none that comes after it is kept
	limited  bool // the sender has failed after limit messages

	// These three find out whether the window is too small (see starve): the sender has used
	// all of its credit since the queue was empty last; that this happened twice in quick
	// succession; and the value of received when the queue was found empty after that.
	spent  bool
	narrow bool
	// Goroutines that wait in Send and in Recv, for people; 255 at most. They are here because there is room.
	senders, receivers uint8
	starved            uint64

	// received counts all messages that have come, dropped ones included. With limited, those
	// that are missing are still on their way: the sender's failure has overtaken them.
	received uint64
	limit    uint64
}

// newInflow is the account of a window as it was set, or of as much of it as the quota allows.
func newInflow(w Window, q *quota) inflow {
	in := inflow{want: w.orDefault().upTo(w.most()), lent: guaranteed, quota: q}
	in.window = in.borrowMost()
	in.allowed = in.window
	return in
}

// arrival is what became of a message that came in.
type arrival uint8

const (
	kept     arrival = iota
	doubtful         // kept, beyond credit, before this end was opened
	dropped          // nobody reads any more
	overrun          // the dialog fails: no room
	overpaid         // the sender had no credit: a violation
	overload         // the dialog fails: too much waits beyond the windows of the link's streams
)

// arrive books a message and decides what becomes of it. Messages for an end that does not
// read are not judged: an honest sender, too, sends until it hears of that. After the first
// overrun the rest is dropped and not reported again, because one failure ends the dialog.
func (in *inflow) arrive(payload []byte, probe bool) arrival {
	in.received++
	room := in.allowed.Messages > 0 && in.allowed.Bytes > 0
	in.allowed = in.allowed.minus(amount{1, len(payload)})
	in.spent = in.spent || in.allowed.Messages <= in.unused
	switch {
	case in.deaf:
		return dropped
	case in.stopped:
		return overpaid
	case !room && in.overflow == wire.Overflow_OVERFLOW_WAIT:
		return in.judge(payload, probe)
	case in.broken:
		return dropped
	case in.full():
		in.broken = true
		return overrun
	}
	return in.push(payload, kept)
}

// full reports whether a message of a sender that does not wait for credit is one too many.
// Unlike credit, it looks at what is in the queue now, and so at how far behind the reader is.
func (in *inflow) full() bool {
	switch in.overflow {
	case wire.Overflow_OVERFLOW_FAIL:
		return len(in.queue) >= in.window.Messages || in.queued >= in.window.Bytes
	case wire.Overflow_OVERFLOW_KEEP:
		return in.queued > in.window.Bytes+in.keep
	}
	return false
}

// spills reports whether messages are kept beyond the window.
func (in *inflow) spills() bool {
	return in.overflow == wire.Overflow_OVERFLOW_KEEP && (len(in.queue) > in.window.Messages || in.queued > in.window.Bytes)
}

// judge decides on a message beyond credit. The sender may send exactly one such message in
// the life of the direction, the probe, when it does not know that this end is open. If this
// end is open by now, the probe has crossed the Attach, and is a message like any other.
// Otherwise it is kept as well, but the dialog has to find out whether this end will be
// opened (ready.go). After a refusal it is dropped: its sender may not have heard of that.
func (in *inflow) judge(payload []byte, probe bool) arrival {
	if !probe || in.probed {
		in.broken = true
		return overpaid
	}
	in.probed = true
	switch {
	case in.broken:
		return dropped
	case in.attached:
		return in.push(payload, kept)
	}
	return in.push(payload, doubtful)
}

// push keeps a message, unless it is one too many for all streams of the link.
func (in *inflow) push(payload []byte, became arrival) arrival {
	if !in.weigh(1, max(1, len(payload))) {
		in.broken = true
		return overload
	}
	in.queue = append(in.queue, payload)
	in.queued += max(1, len(payload))
	in.doubted = in.doubted || became == doubtful
	return became
}

// take removes the oldest message. credit is what to grant the sender now, nil while less
// than half of the window has been taken: that saves frames, and the sender, who still has
// the other half, need not stop. allowed counts the credit as sent from here on. The window
// grows here as well, before the caller sends the credit, so that one frame carries both.
func (in *inflow) take() (payload []byte, credit *wire.Window, ok bool) {
	if len(in.queue) == 0 {
		in.starve()
		return nil, nil, false
	}
	payload, in.queue[0] = in.queue[0], nil
	in.queue = in.queue[1:]
	in.queued -= max(1, len(payload))
	in.weigh(0, 0)
	in.taken = in.taken.plus(amount{1, len(payload)})
	if 2*in.taken.Messages >= in.window.Messages || 2*in.taken.Bytes >= in.window.Bytes {
		credit = in.taken.wire()
		in.allowed = in.allowed.plus(in.taken)
		in.taken = amount{}
		in.grow()
	}
	return payload, credit, true
}

// starve notes that the reader has found the queue empty. If the sender had used all of its
// credit by then, each end was waiting for the other, and a larger window might have spared
// both the wait. Once proves nothing: any burst that is larger than the window ends like
// that, however slow its reader is. The window counts as too small if it happens a second
// time before two windows of messages have passed. The measure is messages and not time,
// because the account has no clock (docs/decisions/growing-window.md).
func (in *inflow) starve() {
	if !in.spent {
		return
	}
	in.spent = false
	in.narrow = in.narrow || in.starved > 0 && in.received-in.starved <= 2*uint64(in.window.Messages)
	in.starved = in.received
}

// grow doubles a window that is less than what was set, and the messages of one that is too
// small, up to most, if the quota allows. A sender that does not wait for credit gains
// nothing by it. What was observed of the smaller window does not count any more. Messages that the
// sender had been promised before the window shrank (unused) are still in allowed, and must not be
// added to it a second time.
func (in *inflow) grow() {
	most := in.want.Messages
	if in.narrow {
		most = max(most, in.want.Most)
		in.spent, in.starved, in.narrow = false, 0, false
	}
	by := amount{Messages: growth(in.window.Messages, most), Bytes: growth(in.window.Bytes, in.want.Bytes)}
	to := in.window.plus(by)
	if in.overflow != wire.Overflow_OVERFLOW_WAIT || to == in.window || !in.borrow(to, 0) {
		return
	}
	again := min(by.Messages, in.unused) // was announced already
	in.window = to
	in.unused -= again
	in.allowed = in.allowed.plus(by).minus(amount{Messages: again})
}

// growth is how much is added to n to double it, up to most.
func growth(n, most int) int { return max(0, min(n, most-n)) }

// open attaches this end, with another window if that is set. A larger window adds to what
// is allowed. A smaller one takes nothing away, since a sender that has not heard of it may
// still use all that was announced before; the difference goes into unused.
func (in *inflow) open(w Window, overflow wire.Overflow, keep int) {
	most := in.want.Most
	if w.Messages > 0 || w.Most > 0 {
		most = w.most()
	}
	was := in.window
	in.want = w.or(in.want).orDefault().upTo(most)
	in.window = in.borrowMost()
	if overflow != wire.Overflow_OVERFLOW_WAIT { // its sender does not go by it
		in.window = in.want.orDefault()
	}
	in.allowed = in.allowed.plus(in.window.minus(was).max(amount{}))
	in.unused += max(0, was.Messages-in.window.Messages)
	in.overflow, in.keep, in.attached, in.doubted = overflow, keep, true, false
}

// close drops what is queued and all that comes, and gives back what was lent. Nothing is to be
// judged any more: there is no reader who could open this end late.
func (in *inflow) close() {
	in.deaf, in.doubted, in.queue, in.queued = true, false, nil, 0
	in.repay()
}

// tally compares the number of messages in the sender's failure with those that have come.
// It reports false once the sender's Stop is in and some are missing, for the Stop comes
// behind the last message: the count was wrong. What has come is then the limit, so that
// the reader does not wait for messages that do not exist.
func (in *inflow) tally() bool {
	short := in.limited && in.stopped && in.received < in.limit
	if short {
		in.limit = in.received
	}
	return !short
}

// ended reports whether nothing can come any more before the failure that the
// sender has announced.
func (in *inflow) ended() bool { return in.limited && in.received >= in.limit }
