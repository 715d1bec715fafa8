package dialog

import (
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// smallPayload is the largest payload, in bytes, that may go before data: the protocol's 16 KiB.
const smallPayload = link.Copied

// outlet is the way to one end of a dialog: a link, and the dialog's id on it. A [Dialog] has
// one, and a relay one to each end, whose mu guards ordered.
type outlet struct {
	table   *Table
	id      uint64
	ordered bool // something of this dialog went into the data lane, which the rest must not overtake
}

func (o *outlet) send(lane link.Lane, f *wire.Frame) { o.sendOwned(lane, f, nil) }

// sendOwned sends a frame whose payload lies in a buffer, which is the link's then.
func (o *outlet) sendOwned(lane link.Lane, f *wire.Frame, owner *wire.Buffer) {
	f.Dialog = o.id
	o.ordered = o.ordered || lane != link.Control
	o.table.link.SendOwned(lane, f, owner)
}

// lane is that of a Started or Return: control while it is small, so that calls stay quick beside
// a saturated stream, but behind what this dialog has put into the data lane, which it must not overtake.
func (o *outlet) lane(payload int) link.Lane {
	if o.ordered || payload > smallPayload {
		return link.Answer
	}
	return link.Control
}

// sendFault reports a failure, which overtakes the messages that were sent before: it
// counts them, and a Stop comes after the last.
func (o *outlet) sendFault(kind wire.Kind, told *wire.Fault, sent uint64, stop bool) {
	o.send(link.Control, &wire.Frame{Kind: kind, Fault: told, Yields: sent})
	if stop {
		o.send(link.Data, &wire.Frame{Kind: wire.Kind_KIND_STOP})
	}
}
