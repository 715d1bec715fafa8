package dialog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// The model checker's world: both sides of one dialog and the link between them.
// State machine and credit accounts are the real ones. What dialog.go, frame.go,
// open.go, stream.go and table.go do around them is written down here once more,
// without locks and errors, function by function under the same names.

var sideNames = [2]string{"opener", "callee"}

// packet is a frame: what of it matters here.
type packet struct {
	kind  uint8 // wire.Kind
	n     uint8 // a message's number; yields; messages of a credit or window
	flag  uint8 // probe, deaf, or the overflow mode
	after uint8 // control frames that were queued before this data frame
}

func (p packet) is(k wire.Kind) bool { return p.kind == uint8(k) }

// queue is one lane in one direction.
type queue struct {
	len uint8
	at  [12]packet
}

func (q *queue) put(p packet) {
	q.at[q.len] = p
	q.len++
}

func (q *queue) pop() packet {
	p := q.at[0]
	copy(q.at[:], q.at[1:q.len])
	q.len--
	q.at[q.len] = packet{}
	return p
}

func (q *queue) all() []packet { return q.at[:q.len] }

// lanes are those of one link in one direction.
type lanes [2]queue

// put is the outbox: data remembers the control frames that it must not overtake.
func (l *lanes) put(lane int, p packet, overtakes bool) {
	if lane == data && !overtakes {
		p.after = l[control].len
	}
	l[lane].put(p)
}

func (l *lanes) canTake(lane int) bool {
	return l[lane].len > 0 && (lane == control || l[lane].at[0].after == 0)
}

// take takes the oldest frame of a lane.
func (l *lanes) take(lane int) packet {
	p := l[lane].pop()
	if lane == control {
		later := &l[data]
		for i := range later.all() {
			later.at[i].after = max(later.at[i].after, 1) - 1
		}
	}
	p.after = 0
	return p
}

func (l *lanes) empty() bool { return l[control].len+l[data].len == 0 }

// Lanes.
const (
	control = 0
	data    = 1
)

// What a task is doing.
const (
	absent  = iota // there is none yet
	waiting        // for the peer's Started, or to be scheduled
	running
	ended
)

// What a Send is doing.
const (
	idle    = iota
	blocked // waits for room
	probing // waits until the receiver opens its end, or has failed
)

// What a Cancel is doing.
const (
	none = iota
	asking
)

// side is a Dialog and its task.
type side struct {
	st      State
	in      inflow
	out     outflow
	known   bool // in the table
	began   bool // opener: Started has come
	cause   bool // why the task was told to end is known
	blamed  bool // and it is a failure that the peer reported
	awaits  bool // callee: its arguments are on their way
	done    bool // opener: the outcome is final
	failed  bool // opener: and it is a failure
	asked   bool
	ordered bool
	waits   bool // opener: its task waits for the callee to end
	idles   bool // opener: its task waits for its ctx

	task        uint8
	interrupted bool // the task's ctx is cancelled
	sending     uint8
	cancelling  uint8
	lost        bool // Table.Lose was called here

	used budget
	past history
}

// budget is what the environment has done at this side.
type budget struct {
	sends, cancels, breaks, aborts, closes, startedCalls uint8
}

// history is what the properties look back at.
type history struct {
	answers               uint8 // Answer happened
	endings               uint8 // Return and Error frames sent
	probes                uint8 // probes sent
	verdicts              uint8 // probes that this side judged
	got                   uint8 // messages that the task has received
	sent                  uint8 // messages that this side has sent
	told                  bool  // a Cancel, Fail or Error has arrived
	failSent, startedSent bool
	returned              bool // SendReturn happened
	overran               bool // this side found an overrun
	shown                 bool // as its task will not open its stream, or took too long
	heardEnd              bool // Recv has reported the end
	endSent               bool // the frame that ends this direction was sent
	over                  bool // was in the table, and is not any more
}

// world is everything. It is copied by value; inflow.queue is cloned before it is
// changed.
type world struct {
	sc     *scenario
	side   [2]side
	lane   [2]lanes // by sender: on its link
	onward [2]lanes // the same, on the other link, if there is a relay
	relay  relaying
	big    bool // what is being sent is large
	cut    bool // a timeout or the loss of the link has happened
	broken string
	log    *[]string
}

// note adds a line to the transcript, if there is to be one. What it costs to make its
// arguments counts where states are made.
func (w *world) note(format string, args ...any) {
	if w.log != nil {
		*w.log = append(*w.log, fmt.Sprintf(format, args...))
	}
}

func (w *world) fail(rule, what string) {
	if w.broken == "" {
		w.broken = rule + ": " + what
	}
}

// send is Dialog.send, the outbox and the wire. Nothing gets through once either
// side has seen the link end.
func (w *world) send(from, lane int, p packet) {
	s := &w.side[from]
	if w.log != nil {
		w.note("    %s sends %s", sideNames[from], p)
	}
	w.checkSend(from, p)
	s.ordered = s.ordered || lane == data
	if s.lost || w.cannotArrive(from) {
		return
	}
	w.lane[from].put(lane, p, w.sc.rules.dataOvertakes)
}

// arriving are the frames that are about to come to the other end.
func (w *world) arriving(from int) *lanes {
	if w.sc.relayed {
		return &w.onward[from]
	}
	return &w.lane[from]
}

// flying are the frames of one lane that have been sent and have not come.
func (w *world) flying(from, lane int) []packet {
	return slices.Concat(w.lane[from][lane].all(), w.onward[from][lane].all())
}

// deliver lets the oldest frame of a lane arrive.
func (w *world) deliver(from, lane int, refused bool) {
	p := w.arriving(from).take(lane)
	if w.log != nil {
		w.note("  %s gets %s", sideNames[1-from], p)
	}
	w.frame(1-from, p, refused)
}

// lose is the link's end as one side sees it.
func (w *world) lose(me int) {
	s := &w.side[me]
	s.lost, w.cut = true, true
	*w.arriving(1 - me) = lanes{}
	if s.known {
		w.event(me, Lost, true)
	}
	if w.cannotArrive(me) {
		w.lane[me] = lanes{}
	}
}

// cannotArrive reports whether what an end sends is lost: the other end of its link has seen that end.
func (w *world) cannotArrive(me int) bool {
	if w.sc.relayed {
		return w.relay.lost[me]
	}
	return w.side[1-me].lost
}

// kindOf is the kind's name as the wire has it.
func kindOf(p packet) string { return kindNames[p.kind] }

var kindNames = func() (names [16]string) {
	for k, name := range wire.Kind_name {
		names[k] = strings.TrimPrefix(name, "KIND_")
	}
	return names
}()

func (p packet) String() string {
	name := kindOf(p)
	switch wire.Kind(p.kind) {
	case wire.Kind_KIND_YIELD:
		if p.flag != 0 {
			return fmt.Sprintf("%s #%d as probe", name, p.n)
		}
		return fmt.Sprintf("%s #%d", name, p.n)
	case wire.Kind_KIND_STOP:
		return fmt.Sprintf("%s deaf=%d", name, p.flag)
	case wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL, wire.Kind_KIND_LOST:
		return fmt.Sprintf("%s after %d yields", name, p.n)
	case wire.Kind_KIND_CREDIT, wire.Kind_KIND_STARTED, wire.Kind_KIND_ATTACH:
		return fmt.Sprintf("%s %d", name, p.n)
	}
	return name
}

// tidy forgets what can have no effect any more, so that states which differ only
// in that count as one.
func (w *world) tidy() {
	for me := range w.side {
		s := &w.side[me]
		if s.cancelling == asking && !s.st.CancelSent {
			s.cancelling = none // Dialog.Cancel returns
		}
		if s.known || s.task != ended || !s.past.over || s.sending != idle || w.sc.rules.sendsWhenOver {
			continue
		}
		s.awaits = false
		s.in, s.out, s.ordered, s.used = inflow{}, outflow{}, false, budget{cancels: s.used.cancels}
		s.past.got, s.past.heardEnd = 0, false
	}
	if w.side[opener].lost && w.side[callee].lost && !w.sc.relayed {
		w.lane = [2]lanes{}
	}
	w.relay.tidy()
}

// encode writes down everything that tells two worlds apart.
func (w *world) encode(b []byte) []byte {
	for me := range w.side {
		b = w.side[me].encode(b)
		b = w.lane[me].encode(b)
		if w.sc.relayed {
			b = w.onward[me].encode(b)
		}
	}
	return w.relay.encode(append(b, bits(w.cut)))
}

func (l *lanes) encode(b []byte) []byte {
	for lane := range l {
		b = append(b, l[lane].len)
		for _, p := range l[lane].all() {
			b = append(b, p.kind, p.n, p.flag, p.after)
		}
	}
	return b
}

func (s *side) encode(b []byte) []byte {
	b = append(b, uint8(s.st.Phase), bits(s.st.FailSent, s.st.CancelSent, s.st.AckOwed, s.st.Cut),
		bits(s.known, s.began, s.cause, s.done, s.failed, s.asked, s.ordered, s.interrupted),
		s.task, s.sending, s.cancelling,
		bits(s.lost, s.past.told, s.past.returned, s.past.overran, s.past.heardEnd, s.past.endSent, s.past.over),
		bits(s.past.failSent, s.past.startedSent, s.blamed, s.waits, s.idles, s.awaits))
	h := &s.past
	b = append(b, h.answers, h.endings, h.probes, h.verdicts, h.got, h.sent)
	u := &s.used
	b = append(b, u.sends, u.cancels, u.breaks, u.aborts, u.closes, u.startedCalls)
	return s.out.encode(s.in.encode(b))
}

func (in *inflow) encode(b []byte) []byte {
	b = append(b, uint8(in.window.Messages), uint8(in.allowed.Messages), uint8(in.overflow), uint8(in.taken.Messages),
		bits(in.attached, in.deaf, in.stopped, in.probed, in.limited, in.broken, in.doubted), uint8(in.received), uint8(in.limit),
		uint8(in.allowed.Bytes), uint8(len(in.queue)), uint8(in.want.Messages), uint8(in.want.Most), uint8(in.unused))
	if in.window.Messages < in.want.Most { // else it may not grow, whatever has been seen
		b = append(b, bits(in.spent, in.narrow), uint8(in.starved))
	}
	for _, m := range in.queue {
		b = append(b, m[0])
	}
	return b
}

func (o *outflow) encode(b []byte) []byte {
	return append(b, uint8(o.room.Messages), uint8(o.window.Messages), uint8(o.overflow),
		bits(o.attached, o.deaf, o.stopped, o.probed), uint8(o.sent), uint8(o.room.Bytes))
}

func bits(on ...bool) (b uint8) {
	for i, o := range on {
		if o {
			b |= 1 << i
		}
	}
	return b
}

// own gives a side a queue that it does not share with the world it was copied from.
func (s *side) own() { s.in.queue = slices.Clone(s.in.queue) }
