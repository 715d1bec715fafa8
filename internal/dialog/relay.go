package dialog

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A dialog of two actors that have no link with each other goes over those between them. Both ends run
// the machine as over a link of their own. An actor between knows of it no more than its two ids, and
// passes frames on in the lanes that they belong to: what a link promises of the order of frames, two
// links one behind the other promise as well. docs/protocol/relays.md has the rules of the wire.

// relay is a dialog of two other actors that passes through here. It is over when the callee's ending
// has passed, when either link is lost, or when it has broken a bound: whichever is first is told, and
// nothing after it. It has no lock; the tables of both links have it, by its legs.
type relay struct {
	opener, callee leg
	over           atomic.Bool
	unacked        atomic.Bool // the callee's CANCEL has passed, and no CANCEL_ACK yet
}

// leg is one of the two links of a relay, and the dialog's id on it.
type leg struct {
	relay   *relay
	table   *Table
	id      uint64
	weight  int  // of its START
	left    bool // it is over, or its table has never had it; the table's mu guards it
	ordered bool // something has been sent on this leg that was not control; only the other one's reader uses it
}

// other is the leg that frames of this one go to.
func (l *leg) other() *leg {
	if r := l.relay; l == &r.opener {
		return &r.callee
	}
	return &l.relay.opener
}

// passOn sends a START on to the next hop, if it is for another actor. An error is why the dialog fails.
func (t *Table) passOn(d *Dialog, f *wire.Frame, refused error) (passed bool, err error) {
	if f.Start.Target == nil || t.cfg.Route == nil {
		f.Start.Opener = nil // nobody vouches for it
		return false, nil
	}
	next, err := t.cfg.Route(f.Start)
	d.far = f.Start.Opener
	if next == nil || err != nil {
		return false, err
	}
	if refused != nil {
		return false, refused
	}
	r := &relay{}
	r.opener = leg{relay: r, table: t, id: d.id, weight: d.weight}
	r.callee = leg{relay: r, table: next, weight: d.weight}
	t.cork(next.link)
	if err := r.begin(f); err != nil {
		return false, err
	}
	if lost := t.replace(d, &r.opener); lost != nil {
		r.end(lost, &r.callee)
	}
	return true, nil
}

// begin opens the dialog on the callee's leg. Arguments that are too large to go with control go behind.
func (r *relay) begin(f *wire.Frame) error {
	to, args := &r.callee, f.Payload
	if admit := to.table.cfg.Admit; admit != nil {
		if err := admit(f.Start); err != nil {
			return err
		}
	}
	size := max(uint64(len(args)), f.Start.Arguments)
	if limit := to.table.link.MaxMessage(); size > uint64(limit) {
		return fmt.Errorf("%w: %d bytes of arguments, the limit of the link from %v to %v is %d", fault.ErrMessageTooLarge, size, to.table.Self(), to.table.Peer(), limit)
	}
	if to.weight-int(size) > 2*mostTexts {
		return fmt.Errorf("%w: a request that is relayed has %d bytes of texts, the limit is %d", fault.ErrMessageTooLarge, to.weight-int(size), 2*mostTexts)
	}
	if to.table.link.Full(link.Control) {
		return to.full()
	}
	start := &wire.Frame{Kind: wire.Kind_KIND_START, Start: f.Start, Payload: args}
	if len(args) > smallPayload {
		start.Payload, f.Start.Arguments = nil, size
	}
	if err := to.table.enter(to, start); err != nil {
		return err
	}
	if start.Payload == nil && len(args) > 0 {
		to.send(link.Data, &wire.Frame{Kind: wire.Kind_KIND_ARGUMENTS, Payload: args})
	}
	return nil
}

// enter is add for a dialog that others have opened. At most half of what the peer takes is for those,
// so that they leave room for this side's own.
func (t *Table) enter(l *leg, start *wire.Frame) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	dialogs, bytes := t.link.PeerTakes()
	switch {
	case t.lost != nil:
		return t.lost
	case t.closing != nil:
		return t.closing
	case t.relayed.dialogs >= (dialogs+1)/2 || t.relayed.bytes >= (bytes+1)/2:
		return fmt.Errorf("%w: %d dialogs, with %d bytes of arguments, are relayed from %v to %v, which is all that it relays",
			fault.ErrOverloaded, t.relayed.dialogs, t.relayed.bytes, t.Self(), t.Peer())
	}
	t.relayed.add(l.weight)
	l.id = t.nextID
	t.nextID += 2
	t.legs[l.id] = l
	t.counters.relayed.Add(1)
	start.Dialog = l.id
	t.link.Send(link.Control, start)
	return nil
}

// replace puts a leg in the place of the dialog that its START has begun here, as a guest like that one.
// It gives why the link is lost, if it is: Lose has not seen the leg then.
func (t *Table) replace(d *Dialog, l *leg) (lost error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dialogs, d.id)
	if l.left { // the ending has been faster
		t.guests.remove(l.weight)
		return nil
	}
	t.legs[l.id] = l
	return t.lost
}

// leave takes the leg out of its table. It may be called twice.
func (l *leg) leave() {
	t := l.table
	t.mu.Lock()
	defer t.mu.Unlock()
	l.left = true
	if t.legs[l.id] != l {
		return
	}
	delete(t.legs, l.id)
	if l == &l.relay.opener {
		t.guests.remove(l.weight)
	} else {
		t.relayed.remove(l.weight)
	}
}

func (r *relay) leave() {
	r.opener.leave()
	r.callee.leave()
}

// pass sends a frame that has come on this leg on to the other one. It runs on the reader of this one's
// link. What an end says in the wrong moment is left to the other end, which alone knows; it does not count as a violation of
// the actors between (Dialog.frame). What only a callee may send is different: no relay passes it on from an opener.
func (l *leg) pass(f *wire.Frame) error {
	r, to := l.relay, l.other()
	lane, known := to.prepare(f)
	ending := f.Kind == wire.Kind_KIND_RETURN || f.Kind == wire.Kind_KIND_ERROR || f.Kind == wire.Kind_KIND_LOST
	switch {
	case !known:
		return nil
	case l == &r.opener && (f.Kind == wire.Kind_KIND_STARTED || ending && f.Kind != wire.Kind_KIND_LOST):
		return fmt.Errorf("%w: %v of dialog %d: only a callee sends it", fault.ErrProtocol, f.Kind, f.Dialog)
	case len(f.Payload) > to.table.link.MaxMessage():
		r.end(fmt.Errorf("%w: %d bytes, the limit of the link from %v to %v is %d", fault.ErrMessageTooLarge, len(f.Payload),
			to.table.Self(), to.table.Peer(), to.table.link.MaxMessage()), l, to)
		return nil
	case to.table.link.Full(lane):
		r.end(to.full(), l, to)
		return nil
	case ending && r.over.Swap(true) || !ending && r.over.Load() && f.Kind != wire.Kind_KIND_CANCEL_ACK:
		return nil // it has come too late
	}
	r.follow(l, f.Kind)
	l.table.cork(to.table.link)
	to.send(lane, f)
	return nil
}

// follow notes what ends a relay: its ending, and then the answer to a CANCEL of the callee. An opener that
// was cut off never answers; the callee does not wait for longer than a cancel bound.
func (r *relay) follow(from *leg, k wire.Kind) {
	switch k {
	case wire.Kind_KIND_CANCEL:
		r.unacked.CompareAndSwap(false, from == &r.callee)
	case wire.Kind_KIND_CANCEL_ACK:
		if from == &r.opener {
			r.unacked.Store(false)
		}
		if r.over.Load() {
			r.leave()
		}
	case wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR:
		if !r.unacked.Load() {
			r.leave() // before the opener hears of it, and opens the next one
		} else {
			time.AfterFunc(from.table.cfg.CancelTimeout, r.leave)
		}
	case wire.Kind_KIND_LOST:
		r.leave()
	}
}

// prepare makes a frame fit to be sent on this leg, and says in which lane. Only what belongs to its kind
// stays, within the bounds of what an honest peer sends: what a link carries for others must never be
// what ends it. known is false for kinds of a later version, which are ignored.
func (l *leg) prepare(f *wire.Frame) (lane link.Lane, known bool) {
	failure, cancel, payload := f.Fault, f.Cancel, f.Payload
	f.Hello, f.Start, f.Fault, f.Cancel, f.Payload = nil, nil, nil, nil, nil
	switch f.Kind {
	case wire.Kind_KIND_YIELD, wire.Kind_KIND_ARGUMENTS:
		f.Payload = payload
		return link.Data, true
	case wire.Kind_KIND_STOP:
		return link.Data, true
	case wire.Kind_KIND_STARTED, wire.Kind_KIND_RETURN:
		f.Payload = payload
		return l.lane(len(payload)), true
	case wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL, wire.Kind_KIND_LOST:
		f.Fault = fault.Relay(failure, l.table.Self())
	case wire.Kind_KIND_CANCEL:
		f.Cancel = &wire.Cancel{Canceller: wire.FromID(cancel.GetCanceller().ToID()), Reason: wire.Text(cancel.GetReason())}
	case wire.Kind_KIND_CANCEL_ACK, wire.Kind_KIND_ATTACH, wire.Kind_KIND_CREDIT:
	default:
		return 0, false
	}
	return link.Control, true
}

// lane is that of a STARTED or RETURN, as for sendSized.
func (l *leg) lane(payload int) link.Lane {
	if l.ordered || payload > smallPayload {
		return link.Answer
	}
	return link.Control
}

// send sends a frame on this leg. A payload that the link has copied is free for the next one that comes.
func (l *leg) send(lane link.Lane, f *wire.Frame) {
	f.Dialog = l.id
	l.ordered = l.ordered || lane != link.Control
	payload := f.Payload
	if l.table.link.Send(lane, f); len(payload) <= link.Copied {
		wire.FreePayload(payload)
	}
}

func (l *leg) full() error {
	return fmt.Errorf("%w: %v does not read what %v relays to it", fault.ErrOverloaded, l.table.Peer(), l.table.Self())
}

// end tells some ends, once, that the dialog is lost to them, and why.
func (r *relay) end(why error, tell ...*leg) {
	if r.over.Swap(true) {
		return
	}
	r.leave()
	told := fault.Pack(why, r.opener.table.Self())
	for _, l := range tell {
		l.table.link.Send(link.Control, &wire.Frame{Dialog: l.id, Kind: wire.Kind_KIND_LOST, Fault: told})
	}
}

// loseLegs ends what was relayed over a link that is lost.
func (t *Table) loseLegs(why error) {
	t.mu.Lock()
	legs := make([]*leg, 0, len(t.legs))
	for _, l := range t.legs {
		legs = append(legs, l)
	}
	t.mu.Unlock()
	for _, l := range legs {
		l.relay.end(why, l.other())
	}
}

// cork has what is relayed to another link go out with the end of the packet that is being handled. Only
// the reader calls it.
func (t *Table) cork(to *link.Link) {
	if slices.Contains(t.corked, to) {
		return
	}
	to.Cork()
	t.corked = append(t.corked, to)
}

func (t *Table) uncork() {
	for _, l := range t.corked {
		l.Uncork()
	}
	clear(t.corked)
	t.corked = t.corked[:0]
}
