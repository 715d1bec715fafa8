package dialog

import (
	"sync/atomic"

	"github.com/seed-2ba35074/trellis/internal/link"
)

// What the messages that nobody has taken may hold of memory, on one link, in bytes. A receiver
// lends its windows: each has at least what is guaranteed, and the rest is lent while there is
// some, until the stream ends. So streams that nobody reads cannot add up to more than a link's
// share, and each of them goes on, however many there are.
const (
	// mostWindows is what all windows have together, if each of the link's default number of
	// dialogs has one.
	mostWindows = 256 << 20
	mostLent    = mostWindows - link.DefaultMaxDialogs*guaranteedBytes
	// keptFree of it is not lent to windows that begin, only to those that grow as they are used.
	keptFree = mostLent / 4
	// mostBeyond is how much may wait that has no room in its window: a message may be larger, and
	// an end may take messages without backpressure. One more message is taken below it.
	mostBeyond = 256 << 20
	// perMessage is what a message counts beside its payload. Small payloads share a kilobyte,
	// which one of them keeps (wire.PacketReader).
	perMessage = 256
)

// guaranteed is the part of a window that is not lent.
var guaranteed = amount{Messages: DefaultMessages, Bytes: 16 << 10}

const guaranteedBytes = DefaultMessages*perMessage + 16<<10

// quota counts what is lent to the streams of one link, beyond what is guaranteed, and what waits
// beyond their windows. It belongs to a [Table]; the accounts of its dialogs change it, under
// the lock of each. Those that come at the same time may refuse one another, and ask again later.
type quota struct{ lent, beyond atomic.Int64 }

// lend counts bytes that are to be lent, or are given back, and reports false if there are not so
// many beside those that are to be left. Without a quota everything is lent.
func (q *quota) lend(bytes, left int) bool {
	if q == nil || bytes == 0 {
		return true
	}
	if q.lent.Add(int64(bytes)) > int64(mostLent-left) && bytes > 0 {
		q.lent.Add(-int64(bytes))
		return false
	}
	return true
}

// exceed counts bytes that wait beyond a window, or do not any more, and reports false if too many
// do. They are compared before the new ones are added, so that a single message always passes.
func (q *quota) exceed(bytes int) bool {
	if q == nil || bytes == 0 {
		return true
	}
	if bytes > 0 && q.beyond.Load() >= mostBeyond {
		return false
	}
	q.beyond.Add(int64(bytes))
	return true
}

// cost is what a window of messages may hold.
func (a amount) cost() int { return a.Messages*perMessage + a.Bytes }

// borrow makes sure that a window may have this size.
func (in *inflow) borrow(to amount, left int) bool {
	lent := in.lent.max(to)
	if !in.quota.lend(lent.cost()-in.lent.cost(), left) {
		return false
	}
	in.lent = lent
	return true
}

// borrowMost gives a window as it was set, or half of it, and so on; at least what is lent already.
func (in *inflow) borrowMost() amount {
	to := in.want.orDefault()
	for !in.borrow(to, keptFree) {
		to.Messages = max(to.Messages/2, min(in.want.Messages, in.lent.Messages))
		to.Bytes = max(to.Bytes/2, min(in.want.Bytes, in.lent.Bytes))
	}
	return to
}

// weigh counts what waits beyond the window when that many messages and bytes have been added, and
// reports false, and counts nothing, if that is too much.
func (in *inflow) weigh(messages, bytes int) bool {
	waits := amount{Messages: len(in.queue) + messages, Bytes: in.queued + bytes}
	beyond := max(0, waits.cost()-in.lent.cost())
	if !in.quota.exceed(beyond - in.beyond) {
		return false
	}
	in.beyond = beyond
	return true
}

// repay gives back all but what is guaranteed.
func (in *inflow) repay() {
	in.quota.lend(guaranteed.cost()-in.lent.cost(), 0)
	in.lent = guaranteed
	in.weigh(0, 0)
}
