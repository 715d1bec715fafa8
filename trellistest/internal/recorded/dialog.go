package recorded

import (
	"bytes"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// recordedDialog is one dialog of a recording, and what becomes of it this time. The player's lock guards
// it.
type recordedDialog struct {
	line  int
	calls bool // the actor has opened it: it calls its host
	start *wire.Frame
	args  []byte
	timed bool // it ended with its opener's deadline, which it must have again
	// answers are what the host has said in a dialog that the actor has opened.
	answers []*wire.Frame

	said side // by the actor, as far as the script has gone
	came side // this time
	cut  int  // how many messages had come when the host wanted no more; -1 if it did not

	id       uint64 // this time; 0 until it has begun
	room     room   // of the actor, for the host's messages
	sent     uint64 // of those
	reading  bool   // the host's end of the stream is open
	answered bool   // the host, as the callee, has ended it
	crossed  bool   // the actor has opened it after it was asked to end: a matter of time
	held     bool   // a message was kept back, since there was no credit for it
	missed   missed // what has not come, and nobody waits for any more
}

// missed is what has not come in time.
type missed struct {
	opening, started, fail, cancel, ack, ending bool
	messages                                    int
}

// count is how many things have not come.
func (m missed) count() int {
	n := m.messages
	for _, is := range []bool{m.opening, m.started, m.fail, m.cancel, m.ack, m.ending} {
		n += missing(!is)
	}
	return n
}

// name is how differences name the dialog.
func (d *recordedDialog) name() string {
	if d.calls {
		return "call of " + d.start.Start.Endpoint
	}
	return d.start.Start.Endpoint
}

// ended reports whether nothing more is said in it.
func (d *recordedDialog) ended() bool { return d.answered || d.came.ended() }

// over reports whether nothing more is waited for in it.
func (d *recordedDialog) over() bool { return d.missed.ending || d.ended() }

// behind is what has not come of what had come when the script was where it is, apart from what
// nobody waits for any more.
func (d *recordedDialog) behind() (m missed) {
	want, got := &d.said, &d.came
	if d.over() {
		return m
	}
	m = missed{
		opening: want.opened() && !got.opened() && !d.missed.opening,
		started: want.started != nil && got.started == nil && !d.missed.started,
		fail:    want.fail != nil && got.fail == nil && !d.missed.fail,
		cancel:  want.cancel != nil && got.cancel == nil && !d.missed.cancel,
		ack:     want.acked && !got.acked && !d.missed.ack,
		ending:  want.ended(),
	}
	if d.cut < 0 {
		m.messages = max(0, len(want.messages)-len(got.messages)-d.missed.messages)
	}
	return m
}

// miss gives up what has not come.
func (d *recordedDialog) miss() {
	b, m := d.behind(), &d.missed
	m.opening, m.started, m.ending = m.opening || b.opening, m.started || b.started, m.ending || b.ending
	m.fail, m.cancel, m.ack = m.fail || b.fail, m.cancel || b.cancel, m.ack || b.ack
	m.messages += b.messages
}

// side is what one actor has said in a dialog.
type side struct {
	start    *wire.Frame // it has opened the dialog
	args     []byte
	complete bool // its arguments have come
	started  *wire.Frame
	messages [][]byte
	ending   *wire.Frame // RETURN or ERROR
	fail     *wire.Frame
	cancel   *wire.Frame
	acked    bool
	stopped  bool
}

// opened reports whether it has opened the dialog, arguments included.
func (s *side) opened() bool { return s.start != nil && s.complete }

// ended reports whether it has ended: an ERROR overtakes messages, and counts them.
func (s *side) ended() bool { return s.ending != nil && uint64(len(s.messages)) >= s.ending.Yields }

func (s *side) add(f *wire.Frame) {
	switch f.Kind {
	case wire.Kind_KIND_START:
		s.start, s.args, s.complete = f, f.Payload, f.Start.GetArguments() == 0
	case wire.Kind_KIND_ARGUMENTS:
		s.args, s.complete = f.Payload, true
	case wire.Kind_KIND_STARTED:
		s.started = f
	case wire.Kind_KIND_YIELD:
		s.messages = append(s.messages, f.Payload)
	case wire.Kind_KIND_STOP:
		s.stopped = true
	case wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR:
		s.ending = f
	case wire.Kind_KIND_FAIL:
		s.fail = f
	case wire.Kind_KIND_CANCEL:
		s.cancel = f
	case wire.Kind_KIND_CANCEL_ACK:
		s.acked = true
	}
}

// runtimePrefix begins the names of the runtime's endpoints.
const runtimePrefix = "trellis/"

// gather finds the dialogs of a process, in the order in which they began. Those of the runtime are
// not for replaying: they end the actor.
func gather(lines []Line) (all []*recordedDialog, byID map[uint64]*recordedDialog) {
	byID = map[uint64]*recordedDialog{}
	for _, l := range lines {
		if l.Frame == nil {
			continue
		}
		d := byID[l.Frame.Dialog]
		switch {
		case l.Frame.Kind == wire.Kind_KIND_START && l.Frame.Start != nil && !strings.HasPrefix(l.Frame.Start.Endpoint, runtimePrefix):
			d = &recordedDialog{line: l.Number, calls: !l.Sent, start: l.Frame, args: l.Frame.Payload, cut: -1}
			byID[l.Frame.Dialog] = d
			all = append(all, d)
		case d == nil:
			continue
		case l.Frame.Kind == wire.Kind_KIND_ARGUMENTS:
			d.args = l.Frame.Payload
		case fault.IsDeadline(l.Frame.Fault):
			d.timed = true
		}
		if d.calls && l.Sent {
			d.answers = append(d.answers, l.Frame)
		}
	}
	return all, byID
}

// Defaults and bound of a window (docs/protocol, Streams).
const (
	defaultMessages = 64
	defaultBytes    = 4 << 20
	mostWindow      = 1 << 30
)

// room is what the host may send, by what the actor has said of its window.
type room struct {
	messages, bytes         int64
	ofMessages, ofBytes     int64 // the window
	announced, open, nobody bool  // nobody: the actor reads no more
	overflow                wire.Overflow
}

// window is a window with its defaults.
func window(w *wire.Window) (messages, bytes int64) {
	messages, bytes = int64(w.GetMessages()), int64(w.GetBytes())
	if messages == 0 {
		messages = defaultMessages
	}
	if bytes == 0 {
		bytes = defaultBytes
	}
	return min(messages, mostWindow), min(bytes, mostWindow)
}

// announce takes the window of START, STARTED or ATTACH: room changes by the difference.
func (r *room) announce(w *wire.Window) {
	messages, bytes := window(w)
	r.messages, r.bytes = r.messages+messages-r.ofMessages, r.bytes+bytes-r.ofBytes
	r.ofMessages, r.ofBytes, r.announced = messages, bytes, true
}

// hear takes what a frame of the actor says of its window.
func (r *room) hear(f *wire.Frame) {
	switch f.Kind {
	case wire.Kind_KIND_START:
		r.announce(f.Start.Window)
		r.open, r.overflow = f.Start.Attached, f.Start.Overflow
	case wire.Kind_KIND_STARTED:
		if !r.open {
			r.announce(f.Window)
			r.open, r.overflow = f.Attached, f.Overflow
		}
	case wire.Kind_KIND_ATTACH:
		r.announce(f.Window)
		r.open, r.overflow = true, f.Overflow
	case wire.Kind_KIND_CREDIT:
		if messages, bytes := window(f.Window); f.Window != nil {
			r.messages += max(0, messages-r.ofMessages)
			r.bytes += max(0, bytes-r.ofBytes)
			r.ofMessages, r.ofBytes = max(messages, r.ofMessages), max(bytes, r.ofBytes)
		}
		r.messages += int64(f.Credit.GetMessages())
		r.bytes += int64(f.Credit.GetBytes())
	case wire.Kind_KIND_STOP:
		r.nobody = r.nobody || f.Deaf
	}
}

// takes reports whether a message may be sent.
func (r *room) takes() bool {
	return r.nobody || r.announced && r.messages > 0 && r.bytes > 0 || r.open && r.overflow != wire.Overflow_OVERFLOW_WAIT
}

// names are the identifiers of a recording, and what they are this time. Both have the same
// length, as uuids have.
type names map[string]string

func (n names) learn(was, is string) {
	if len(was) == len(is) && was != is && was != "" {
		n[was] = is
	}
}

// learnFault learns the ids of a failure that has come again.
func (n names) learnFault(was, is *wire.Frame) {
	if was == nil || is == nil {
		return
	}
	for i, node := range was.Fault.GetNodes() {
		if i < len(is.Fault.GetNodes()) {
			n.learn(node.Id, is.Fault.Nodes[i].Id)
		}
	}
}

// translate gives a frame with the names of this time, wherever they stand: in details and texts,
// too. They are as long as those of the recording, so that it stays a frame.
func (n names) translate(f *wire.Frame) *wire.Frame {
	b, err := proto.Marshal(f)
	for was, is := range n {
		b = bytes.ReplaceAll(b, []byte(was), []byte(is))
	}
	out := new(wire.Frame)
	if err != nil || proto.Unmarshal(b, out) != nil {
		return proto.CloneOf(f)
	}
	return out
}
