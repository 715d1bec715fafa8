package dialog

import "github.com/seed-2ba35074/trellis/internal/wire"

// The ends of a dialog.
const (
	opener = 0
	callee = 1
)

// passage is what a relay knows of a dialog. Its methods look at nothing else, so that the
// model checker plays the same ones. The zero value is a dialog whose START has passed.
//
// A relay has no state machine. Whatever the two ends say to one another, it needs to know
// only when nothing more can come, so that it forgets the dialog neither too early, which
// would lose frames, nor too late, which would keep a place that others could have. Three
// things may come after the callee's ending: messages that it has overtaken, the answer to the
// callee's CANCEL, and, of a dialog that was broken on the way, nothing at all.
type passage struct {
	broken  bool // a frame could not be sent on, and both ends were told: of the stream nothing passes any more
	gone    bool // the link to the opener is lost, and the relay answers in its place
	unacked bool // the callee's CANCEL has passed, and no CANCEL_ACK yet
	over    bool // the callee's ending has passed, or cannot come any more

	sent [2]uint64 // the messages that have passed, to each end
	tail uint64    // those that the opener will have got in all: a failure overtakes those before it
}

// tailing reports whether messages are still to pass that the callee has sent before it failed.
func (p *passage) tailing() bool { return !p.gone && p.sent[opener] < p.tail }

// done reports whether nothing is to pass any more.
func (p *passage) done() bool { return p.over && !p.unacked && !p.tailing() }

// isEnding reports whether a frame ends a dialog for its opener.
func isEnding(k wire.Kind) bool {
	return k == wire.Kind_KIND_RETURN || k == wire.Kind_KIND_ERROR || k == wire.Kind_KIND_LOST
}

// passes reports whether a frame of one end may be sent on. What an end says in the wrong
// moment is left to the other end, which alone knows.
func (p *passage) passes(from int, k wire.Kind) bool {
	switch k {
	case wire.Kind_KIND_YIELD, wire.Kind_KIND_STOP:
		return !p.broken && (!p.over || from == callee && p.tailing())
	case wire.Kind_KIND_FAIL, wire.Kind_KIND_LOST:
		return !p.over || from == callee && p.tailing()
	case wire.Kind_KIND_CANCEL_ACK:
		return !p.over || from == opener
	case wire.Kind_KIND_CANCEL, wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR:
		return !p.over
	}
	return !p.broken && !p.over
}

// passed takes note of a frame that is sent on. yields is what it says of the messages before it.
func (p *passage) passed(from int, k wire.Kind, yields uint64) {
	p.over = p.over || isEnding(k)
	switch k {
	case wire.Kind_KIND_YIELD:
		p.sent[1-from]++
	case wire.Kind_KIND_FAIL, wire.Kind_KIND_ERROR, wire.Kind_KIND_LOST:
		if from == callee {
			p.tail = yields
		}
	case wire.Kind_KIND_RETURN:
		p.tail = 0 // it goes behind the messages
	case wire.Kind_KIND_STOP:
		if from == callee && p.over {
			p.tail = 0 // so does this, after which none can come
		}
	case wire.Kind_KIND_CANCEL:
		p.unacked = p.unacked || from == callee
	case wire.Kind_KIND_CANCEL_ACK:
		p.unacked = p.unacked && from == callee
	}
}

// lost takes note of the loss of the link to one end.
func (p *passage) lost(to int) {
	if to == callee {
		p.over, p.tail = true, 0
	} else {
		p.gone = true
	}
	p.unacked = false // it is answered now, or nobody waits for it
}
