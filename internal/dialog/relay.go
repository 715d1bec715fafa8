package dialog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A dialog of two actors that have no link with each other goes over those between them. Both ends run
// the machine as over a link of their own. An actor between knows little of it (passage), and passes
// frames on in the lanes that they belong to: what a link promises of the order of frames, two
// links one behind the other promise as well. docs/protocol/relays.md has the rules of the wire.
//
// The readers of both links meet in a relay, and the goroutine that finds a link lost. None of
// them waits for more than a lock, and nothing is kept here but what waits for a link: a frame
// is sent on, or it is not, while it is being read. So a relay costs its dialog one more
// packet on the way, and no goroutine.

// relay is a dialog of two other actors that passes through here. It belongs to the tables of
// both links, by its legs, and ends when nothing is to pass any more. mu guards all of it but
// what never changes: each frame is judged and queued at once. A table's mu may be taken while
// it is held, not the other way round.
type relay struct {
	legs     [2]leg // to each end
	born     moment
	weight   int    // of its START
	target   string // the callee's path
	endpoint string // if the callee is the next actor, and this one its supervisor; else ""

	mu sync.Mutex
	passage
	ended, left bool        // it is not among the opener's guests any more; nor in the tables
	overdue     *time.Timer // when the callee, which was told to end, becomes stuck, or what comes behind its ending is given up
}

// tailTimeout is how long messages that a failure has overtaken may fail to come, behind all that waits for the
// same link.
const tailTimeout = time.Minute

// leg is one of the two links of a relay, and the dialog's id on it.
type leg struct {
	outlet
	relay *relay
	to    int // the end of the dialog that it leads to
}

// other is the leg that frames of this one go to.
func (l *leg) other() *leg { return &l.relay.legs[1-l.to] }

// way is what a START begins that is to go on to another actor; nil, if it is for this one. An
// error is why the dialog fails.
func (t *Table) way(f *wire.Frame) (*relay, error) {
	s := f.Start
	s.Target.Bound()
	s.Opener.Bound()
	if s.Target == nil || t.cfg.Route == nil {
		s.Opener = nil  // nobody vouches for it
		return nil, nil //nolint:nilnil // it is for this actor
	}
	next, err := t.cfg.Route(s)
	if next == nil || err != nil {
		return nil, err
	}
	r := &relay{born: momentOf(time.Since(started)), weight: weigh(f), target: s.Target.Path}
	r.legs = [2]leg{{outlet{table: t, id: f.Dialog}, r, opener}, {outlet{table: next}, r, callee}}
	if next.cfg.Admit != nil {
		last, err := next.cfg.Admit(s)
		if err != nil {
			return nil, err
		}
		if last && !isRuntime(s.Endpoint) {
			r.endpoint = strings.ToValidUTF8(s.Endpoint[:min(len(s.Endpoint), 256)], "") // for people
		}
	}
	size := max(uint64(len(f.Payload)), s.Arguments)
	if size > uint64(next.link.MaxMessage()) {
		return nil, next.tooLarge(size)
	}
	if texts := r.weight - int(size); texts > 2*mostTexts {
		return nil, fmt.Errorf("%w: a request that is relayed has %d bytes of texts, the limit is %d", fault.ErrMessageTooLarge, texts, 2*mostTexts)
	}
	return r, nil
}

// start sends the START on. The error is a violation by whoever has sent it.
func (r *relay) start(f *wire.Frame) error {
	t := r.legs[opener].table
	r.mu.Lock()
	defer r.mu.Unlock()
	t.mu.Lock()
	refused, err := t.claim(f.Dialog, r.weight, isRuntime(f.Start.Endpoint))
	if err == nil {
		t.legs[f.Dialog] = &r.legs[opener]
	}
	t.mu.Unlock()
	if err != nil {
		return err
	}
	t.cork(r.legs[callee].table.link)
	if refused == nil {
		refused = r.begin(f)
	}
	if refused != nil {
		r.lost(callee)
		r.settle()
		r.legs[opener].tell(wire.Kind_KIND_ERROR, refusal(refused, t.Self()))
	}
	return nil
}

// begin opens the dialog on the callee's leg. Arguments that are too large to go with control
// go behind.
func (r *relay) begin(f *wire.Frame) error {
	to, args, lane := &r.legs[callee], f.Payload, link.Control
	start := &wire.Frame{Kind: wire.Kind_KIND_START, Start: f.Start, Payload: args}
	if len(args) > smallPayload {
		start.Payload, f.Start.Arguments, lane = nil, uint64(len(args)), link.Data
	}
	if to.table.link.Full(lane, r.weight, r.legs[opener].table) {
		return to.full()
	}
	if err := to.table.enter(to, start); err != nil {
		return err
	}
	if lane == link.Data {
		to.sendOn(lane, &wire.Frame{Kind: wire.Kind_KIND_ARGUMENTS, Payload: args})
	}
	return nil
}

// pass sends a frame that has come on this leg on to the other one. It runs on the reader of
// this one's link. Whatever an end says to the other one is not a violation by the actors
// between (Dialog.frame). What only a callee may send is different: no relay passes it on from
// an opener.
func (l *leg) pass(f *wire.Frame) error {
	r, to := l.relay, l.other()
	if l.to == opener && (f.Kind == wire.Kind_KIND_STARTED || isEnding(f.Kind)) {
		return fmt.Errorf("%w: %v of dialog %d: only a callee sends it", fault.ErrProtocol, f.Kind, f.Dialog)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out wire.Frame
	lane, known := to.prepare(&out, f)
	if !known || !r.passes(l.to, f.Kind) {
		return nil
	}
	l.table.cork(to.table.link)
	if r.gone && l.to == callee && out.Kind == wire.Kind_KIND_CANCEL {
		r.answer()
		return nil
	}
	if !to.fits(&lane, &out) {
		return nil
	}
	if l.to == opener && (out.Kind == wire.Kind_KIND_CANCEL || out.Kind == wire.Kind_KIND_FAIL) {
		r.watch()
	}
	r.passed(l.to, out.Kind, out.Yields)
	r.settle()
	to.sendOn(lane, &out)
	return nil
}

// fits makes a frame one that can be sent on this leg: of a callee's ending that cannot, LOST remains. It reports
// false if the dialog has failed of it. A callee's first CANCEL goes however full the link is, since the callee
// waits for the answer.
func (l *leg) fits(lane *link.Lane, out *wire.Frame) bool {
	r, why := l.relay, l.refuses(*lane, out)
	if why == nil || r.gone || l.to == opener && out.Kind == wire.Kind_KIND_CANCEL && !r.unacked {
		return true
	}
	if !isEnding(out.Kind) {
		r.fail(why)
		return false
	}
	*lane, out.Kind, out.Payload = link.Control, wire.Kind_KIND_LOST, nil
	out.Fault, out.Yields = fault.Pack(why, l.table.Self()), r.sent[opener]
	return true
}

// answer says to the callee that the opener's task has ended, in the opener's place.
func (r *relay) answer() {
	r.unacked = false
	r.legs[callee].send(link.Control, &wire.Frame{Kind: wire.Kind_KIND_CANCEL_ACK})
}

// prepare makes a frame that is to be sent on this leg of one that has come on the other, and
// says in which lane. It has only what belongs to its kind, within the bounds of what an
// honest peer sends: what a link carries for others must never be what ends it. known is false
// for kinds of a later version, which are ignored.
func (l *leg) prepare(out, f *wire.Frame) (lane link.Lane, known bool) {
	out.Kind = f.Kind
	switch f.Kind {
	case wire.Kind_KIND_YIELD:
		out.Payload, out.Probe = f.Payload, f.Probe
		return link.Data, true
	case wire.Kind_KIND_ARGUMENTS:
		out.Payload = f.Payload
		return link.Data, true
	case wire.Kind_KIND_STOP:
		out.Deaf = f.Deaf
		return link.Data, true
	case wire.Kind_KIND_STARTED:
		out.Payload, out.Window, out.Attached, out.Overflow = f.Payload, f.Window, f.Attached, f.Overflow
		return l.lane(len(f.Payload)), true
	case wire.Kind_KIND_RETURN:
		out.Payload = f.Payload
		return l.lane(len(f.Payload)), true
	case wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL, wire.Kind_KIND_LOST:
		out.Fault, out.Yields = fault.Relay(f.Fault, l.table.Self()), f.Yields
		if l.relay.broken {
			out.Yields = l.relay.sent[l.to]
		}
	case wire.Kind_KIND_CANCEL:
		out.Cancel = &wire.Cancel{Canceller: wire.FromID(f.Cancel.GetCanceller().ToID()), Reason: wire.Text(f.Cancel.GetReason())}
	case wire.Kind_KIND_ATTACH:
		out.Window, out.Overflow = f.Window, f.Overflow
	case wire.Kind_KIND_CREDIT:
		out.Window, out.Credit = f.Window, f.Credit
	case wire.Kind_KIND_CANCEL_ACK:
	default:
		return 0, false
	}
	return link.Control, true
}

// refuses is why a frame cannot be sent on this leg; nil if it can.
func (l *leg) refuses(lane link.Lane, f *wire.Frame) error {
	if len(f.Payload) > l.table.link.MaxMessage() {
		return l.table.tooLarge(uint64(len(f.Payload)))
	}
	size := len(f.Payload)
	if f.Fault != nil || f.Cancel != nil {
		size = proto.Size(f)
	}
	if l.table.link.Full(lane, size, l.other().table) {
		return l.full()
	}
	return nil
}

// tooLarge is why a payload is not relayed.
func (t *Table) tooLarge(size uint64) error {
	return fmt.Errorf("%w: %d bytes, the limit of the link from %v to %v is %d", fault.ErrMessageTooLarge, size, t.Self(), t.Peer(), t.link.MaxMessage())
}

func (l *leg) full() error {
	return fmt.Errorf("%w: %v does not read what %v relays to it", fault.ErrOverloaded, l.table.Peer(), l.table.Self())
}

// sendOn sends a frame that has come. A payload that the link has copied is free for the next one
// that comes.
func (l *leg) sendOn(lane link.Lane, f *wire.Frame) {
	payload := f.Payload
	if l.send(lane, f); len(payload) <= link.Copied {
		wire.FreePayload(payload)
	}
}

// tell reports a failure in the place of whoever is behind the other leg.
func (l *leg) tell(k wire.Kind, told *wire.Fault) {
	n := l.relay.sent[l.to]
	l.sendFault(k, told, n, n > 0)
}

// fail makes a dialog fail of which a frame cannot be sent on. Its ends go on as if each had
// heard that of the other one: the callee's ending is still to come.
func (r *relay) fail(why error) {
	if r.broken {
		return
	}
	r.broken = true
	told := fault.Pack(why, r.legs[opener].table.Self())
	r.legs[opener].tell(wire.Kind_KIND_FAIL, told)
	r.tail = 0
	if !r.over {
		r.legs[callee].tell(wire.Kind_KIND_FAIL, told)
		r.watch()
	}
	r.settle()
}

// lose is the loss of this leg's link. The opener hears that how the callee ended is not
// known. A callee is told to end, as if its opener had failed, and stays one that the next
// actor was given until it has.
func (l *leg) lose(told *wire.Fault) {
	r := l.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.to == callee && (!r.over || r.tailing()):
		r.legs[opener].tell(wire.Kind_KIND_LOST, told)
	case l.to == opener && !r.over:
		r.legs[callee].tell(wire.Kind_KIND_FAIL, told)
		r.watch()
	}
	if l.to == opener && r.unacked {
		r.answer()
	}
	r.lost(l.to)
	r.settle()
}

// settle follows each change of what is known: a dialog that has ended gives back what it has
// of the limits of both links. That comes before the opener hears of it, and opens the next
// one. An opener that was cut off never answers the callee's CANCEL; the callee does not wait
// for that longer than a cancel bound.
func (r *relay) settle() {
	ended, done := r.over && !r.ended, r.done() && !r.left
	r.ended, r.left = r.over, r.done()
	if ended || done || r.gone {
		r.legs[opener].release(ended, done || r.gone)
	}
	if done {
		r.legs[callee].release(true, true)
	}
	if (ended || done) && r.overdue != nil {
		r.overdue.Stop()
	}
	if ended && r.overdue != nil {
		r.legs[callee].table.unstick(r.legs[callee].id)
	}
	if ended && !done {
		r.linger()
	}
}

// linger gives up, in time, what is still to come behind the callee's ending. An opener that waits for messages is
// told that there are no more, and judges the callee.
func (r *relay) linger() {
	bound, passed := tailTimeout, r.sent[opener]
	if r.unacked {
		bound = r.legs[callee].table.cfg.CancelTimeout
	}
	r.overdue = time.AfterFunc(bound, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case r.unacked:
			r.unacked = false
		case r.tailing() && r.sent[opener] == passed:
			r.tail = 0
			r.legs[opener].send(link.Data, &wire.Frame{Kind: wire.Kind_KIND_STOP})
		}
		if r.settle(); !r.left {
			r.linger()
		}
	})
}

// release counts the leg out of its table, and forgets it.
func (l *leg) release(uncount, forget bool) {
	t, r := l.table, l.relay
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.legs[l.id] != l {
		return // it never was there
	}
	if uncount && l.to == opener {
		t.guests.remove(r.weight)
	} else if uncount {
		t.relayed.remove(r)
	}
	if forget {
		delete(t.legs, l.id)
	}
}

// watch is for the supervisor of a callee that is told to end: its opener may be anywhere, and
// nobody should end an actor because of what that says. But this side, which hosts the callee,
// has sent on that the task is to end, or has said so itself, and sees whether it does.
func (r *relay) watch() {
	if r.endpoint != "" && r.overdue == nil {
		r.overdue = time.AfterFunc(r.legs[callee].table.cfg.CancelTimeout, r.stick)
	}
}

func (r *relay) stick() {
	t := r.legs[callee].table
	s := StuckTask{Endpoint: r.endpoint, Since: time.Now(), id: r.legs[callee].id}
	r.mu.Lock()
	news := !r.over && t.addStuck(s)
	r.mu.Unlock()
	if news {
		t.tellStuck(s)
	}
}

// loseLegs ends what was relayed over a link that is lost.
func (t *Table) loseLegs(why error) {
	t.mu.Lock()
	legs := slices.Collect(maps.Values(t.legs))
	t.mu.Unlock()
	if len(legs) == 0 {
		return
	}
	told := fault.Pack(why, t.Self())
	for _, l := range legs {
		l.lose(told)
	}
}

// cork has what is relayed to another link go out with the end of the packet that is being
// handled. Only the reader calls it.
func (t *Table) cork(to *link.Link) {
	if slices.Contains(t.corked, to) {
		return
	}
	to.Cork()
	t.corked = append(t.corked, to)
}

func (t *Table) uncork() {
	for _, l := range t.corked {
		l.Uncork(false)
	}
	clear(t.corked)
	t.corked = t.corked[:0]
}
