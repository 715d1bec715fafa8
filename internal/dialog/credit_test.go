package dialog

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// totals is the reference for the credit accounts: it only counts what has ever
// happened, and works out everything else anew each time.
type totals struct{ messages, bytes int }

func (t *totals) add(size int) {
	t.messages++
	t.bytes += size
}

func (t totals) minus(o totals) totals { return totals{t.messages - o.messages, t.bytes - o.bytes} }

// within reports whether there is still room of a window.
func (t totals) within(w amount) bool { return t.messages < w.Messages && t.bytes < w.Bytes }

// channel is one direction of a dialog between two honest ends: the real accounts
// with two lanes between them, and the reference beside each.
type channel struct {
	out outflow
	in  inflow

	data     []shipped     // messages on their way
	control  []*signal     // Attach and Credit on their way
	sent     totals        // by the sender
	granted  totals        // as the sender knows it
	received totals        // by the receiver
	credited totals        // as the receiver knows it
	taken    totals        // by the receiver's task
	queue    [][]byte      // what the receiver's task has not taken yet
	mode     wire.Overflow // of the receiver, once it is open
	keep     int
	probes   int
	trusted  amount // the largest that the sender may know of
	doubted  bool   // the receiver keeps a probe, and its end is not open
	failed   bool   // the dialog has failed: an overrun
	spent    bool   // the sender had no credit left since the reader waited last
	waited   int    // messages received when the reader waited last, after the sender had run out of credit
	narrow   bool   // that came twice within two windows
	next     byte
}

type shipped struct {
	payload []byte
	probe   bool
}

type signal struct {
	attach amount // the window, which a credit may have made larger
	mode   wire.Overflow
	credit *wire.Window // nil: an attach
}

func drawWindow(t *rapid.T, name string) amount {
	return amount{
		Messages: rapid.IntRange(1, 6).Draw(t, name+" messages"),
		Bytes:    rapid.IntRange(1, 40).Draw(t, name+" bytes"),
	}
}

// drawOptions draws a window of which some is not set.
func drawOptions(t *rapid.T) Window {
	return Window{
		Messages: rapid.IntRange(0, 6).Draw(t, "open messages"),
		Bytes:    rapid.IntRange(0, 40).Draw(t, "open bytes"),
		Most:     rapid.IntRange(0, 20).Draw(t, "open most"),
	}
}

func newChannel(t *rapid.T) *channel {
	w := drawWindow(t, "window")
	c := &channel{in: inflow{window: w, allowed: w, want: Window{w.Messages, w.Bytes, rapid.IntRange(0, 20).Draw(t, "most")}}, trusted: w}
	c.out.announce(w)
	return c
}

// send asks for a message, and sends it if it may go.
func (c *channel) send(t *rapid.T) {
	if c.failed {
		return
	}
	c.next++
	payload := append([]byte{c.next}, make([]byte, rapid.SampledFrom([]int{0, 1, 5, 60}).Draw(t, "size"))...)
	if rapid.Bool().Draw(t, "empty") {
		payload = nil
	}
	want := c.permit()
	got := c.out.ask(len(payload))
	if got != want {
		t.Fatalf("ask: %v, the reference says %v", got, want)
	}
	if got == probeIt {
		c.probes++
	}
	if got == sendIt || got == probeIt {
		c.sent.add(len(payload))
		c.data = append(c.data, shipped{payload, got == probeIt})
	}
}

func (c *channel) permit() permit {
	switch {
	case c.out.overflow != wire.Overflow_OVERFLOW_WAIT, c.sent.minus(c.granted).within(c.out.window):
		return sendIt
	case !c.out.attached && c.probes == 0:
		return probeIt
	}
	return waitForIt
}

// arrive lets the oldest message come in.
func (c *channel) arrive(t *rapid.T) {
	if len(c.data) == 0 {
		return
	}
	m := c.data[0]
	c.data = c.data[1:]
	want := c.verdict(m)
	got := c.in.arrive(m.payload, m.probe)
	if got != want {
		t.Fatalf("arrive: %v, the reference says %v", got, want)
	}
	c.received.add(len(m.payload))
	c.spent = c.spent || !c.received.minus(c.credited).within(amount{Messages: c.in.window.Messages, Bytes: math.MaxInt})
	switch got {
	case kept, doubtful:
		c.doubted = got == doubtful
		c.queue = append(c.queue, m.payload)
	case overrun:
		c.failed = true
	case overpaid:
		t.Fatalf("an honest sender was accused")
	}
}

func (c *channel) verdict(m shipped) arrival {
	room := c.received.minus(c.credited).within(c.trusted)
	queued := 0
	for _, q := range c.queue {
		queued += max(1, len(q))
	}
	switch c.mode {
	case wire.Overflow_OVERFLOW_FAIL:
		if c.failed {
			return dropped
		}
		if len(c.queue) >= c.in.window.Messages || queued >= c.in.window.Bytes {
			return overrun
		}
	case wire.Overflow_OVERFLOW_KEEP:
		if c.failed {
			return dropped
		}
		if queued > c.in.window.Bytes+c.keep {
			return overrun
		}
	default:
		if !room && m.probe && !c.in.attached {
			return doubtful
		}
	}
	return kept
}

// take gives the oldest message to the receiver's task.
func (c *channel) take(t *rapid.T) {
	if !c.in.attached {
		return
	}
	before := c.in
	payload, credit, ok := c.in.take()
	if ok != (len(c.queue) > 0) {
		t.Fatalf("take: %v with %d messages queued", ok, len(c.queue))
	}
	if !ok {
		if c.spent {
			c.narrow = c.narrow || c.waited > 0 && c.received.messages-c.waited <= 2*c.in.window.Messages
			c.waited, c.spent = c.received.messages, false
		}
		return
	}
	if !slices.Equal(payload, c.queue[0]) {
		t.Fatalf("M02: took %v, the oldest is %v", payload, c.queue[0])
	}
	c.queue = c.queue[1:]
	c.taken.add(len(payload))
	owed := c.taken.minus(c.credited)
	due := 2*owed.messages >= before.window.Messages || 2*owed.bytes >= before.window.Bytes
	if due != (credit != nil) {
		t.Fatalf("credit %v when %v is owed of %v", credit, owed, c.in.window)
	}
	want := before.window
	if credit != nil {
		c.credited = c.taken
		c.control = append(c.control, &signal{credit: credit, attach: c.in.window})
		if c.narrow {
			if c.mode == wire.Overflow_OVERFLOW_WAIT && want.Messages < before.want.Most {
				want.Messages = min(2*want.Messages, before.want.Most)
			}
			c.spent, c.waited, c.narrow = false, 0, false
		}
	}
	if c.in.window != want {
		t.Fatalf("M05: the window is %v, the reference says %v", c.in.window, want)
	}
	c.trust()
}

func (c *channel) trust() {
	c.trusted.Messages, c.trusted.Bytes = max(c.trusted.Messages, c.in.window.Messages), max(c.trusted.Bytes, c.in.window.Bytes)
}

// open attaches the receiver, perhaps with another window.
func (c *channel) open(t *rapid.T) {
	if c.in.attached || c.failed {
		return
	}
	modes := []wire.Overflow{wire.Overflow_OVERFLOW_WAIT, wire.Overflow_OVERFLOW_WAIT, wire.Overflow_OVERFLOW_FAIL, wire.Overflow_OVERFLOW_KEEP}
	c.mode = rapid.SampledFrom(modes).Draw(t, "mode")
	c.keep = rapid.IntRange(0, 50).Draw(t, "keep")
	was, o := c.in, drawOptions(t)
	c.in.open(o, c.mode, c.keep)
	want := Window{Messages: o.Messages, Bytes: o.Bytes}.or(was.window.upTo(0)).orDefault()
	most := was.want.Most
	if o.Messages > 0 || o.Most > 0 {
		most = o.Most
	}
	if c.in.window != want || c.in.want.Most != most {
		t.Fatalf("M05: %+v gave %+v, growing to %d", o, c.in.window, c.in.want.Most)
	}
	c.trust()
	c.doubted = false
	c.control = append(c.control, &signal{attach: c.in.window, mode: c.mode})
}

// hear lets the oldest control frame reach the sender.
func (c *channel) hear(t *rapid.T) {
	if len(c.control) == 0 {
		return
	}
	f := c.control[0]
	c.control = c.control[1:]
	if f.credit == nil {
		if !c.out.attach(f.attach, f.mode) {
			t.Fatal("an honest attach was refused")
		}
		return
	}
	c.out.grow(f.attach)
	c.granted.messages += int(f.credit.GetMessages())
	c.granted.bytes += int(f.credit.GetBytes())
	if !c.out.grant(f.credit) {
		t.Fatal("an honest credit was refused")
	}
}

// check is the conservation of credit, and the bound on what a receiver holds.
func (c *channel) check(t *rapid.T) {
	used := c.sent.minus(c.granted)
	if room := (amount{Messages: c.out.window.Messages - used.messages, Bytes: c.out.window.Bytes - used.bytes}); c.out.room != room {
		t.Fatalf("M06: the sender has room for %v, the reference for %v", c.out.room, room)
	}
	held := c.received.minus(c.credited)
	if allowed := (amount{Messages: c.trusted.Messages - held.messages, Bytes: c.trusted.Bytes - held.bytes}); c.in.allowed != allowed {
		t.Fatalf("M06: the receiver allows %v, the reference %v", c.in.allowed, allowed)
	}
	if c.probes > 1 {
		t.Fatalf("M07: %d messages beyond credit", c.probes)
	}
	waits := c.mode == wire.Overflow_OVERFLOW_WAIT
	if c.in.doubted != c.doubted {
		t.Fatalf("M07: a probe waits for the end to be opened: %t, the reference says %t", c.in.doubted, c.doubted)
	}
	if most := c.trusted.Messages; len(c.queue) > most+c.probes && (waits || c.mode == wire.Overflow_OVERFLOW_FAIL) {
		t.Fatalf("M06: %d messages are held, the window is %d", len(c.queue), most)
	}
	c.checkFlow(t)
}

// checkFlow: once all that was under way has arrived and all that came was taken,
// a sender may send. Nothing stalls for want of credit that nobody grants.
func (c *channel) checkFlow(t *rapid.T) {
	if len(c.data)+len(c.control)+len(c.queue) > 0 || c.failed {
		return
	}
	account := c.out
	if now := account.ask(1); now != sendIt {
		t.Fatalf("M06: a stall: everything is taken, and the sender is told %v; %+v %+v", now, c.out, c.in)
	}
}

func TestM06_CreditBetweenHonestEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newChannel(t)
		t.Repeat(map[string]func(*rapid.T){
			"send": c.send, "arrive": c.arrive, "take": c.take, "open": c.open, "hear": c.hear, "": c.check,
		})
	})
}

// A Started may come after the Attach that overtook it, with another window.
func TestM05_AttachKnowsTheWindowBetterThanStarted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		announced, opened := drawWindow(t, "started"), drawWindow(t, "attach")
		var inOrder, overtaken outflow
		inOrder.announce(announced)
		if !inOrder.attach(opened, wire.Overflow_OVERFLOW_WAIT) || !overtaken.attach(opened, wire.Overflow_OVERFLOW_WAIT) {
			t.Fatal("attach was refused")
		}
		overtaken.announce(announced)
		if inOrder != overtaken {
			t.Fatalf("in order %+v, overtaken %+v", inOrder, overtaken)
		}
	})
}

// drawHostile draws what a peer may put into a Window, with a liking for edges.
func drawHostile(t *rapid.T) *wire.Window {
	messages := rapid.OneOf(rapid.Uint32Range(0, 8), rapid.SampledFrom([]uint32{math.MaxInt32, 1 << 31, math.MaxUint32})).Draw(t, "messages")
	bytes := rapid.OneOf(rapid.Uint64Range(0, 64), rapid.SampledFrom([]uint64{1 << 40, 1<<40 + 1, math.MaxInt64, 1 << 63, math.MaxUint64})).Draw(t, "bytes")
	return rapid.SampledFrom([]*wire.Window{{Messages: messages, Bytes: bytes}, nil}).Draw(t, "window")
}

// Whatever a hostile receiver grants or opens with: the sender never has more room
// than the window, and what was refused has changed nothing.
func TestC16_HostileCredit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o outflow
		o.announce(drawWindow(t, "window"))
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) { o.ask(rapid.IntRange(0, 1<<20).Draw(t, "size")) },
			"grant": func(t *rapid.T) {
				before := o
				ok := o.grant(drawHostile(t))
				if !ok && o != before || o.room.Messages < before.room.Messages || o.room.Bytes < before.room.Bytes {
					t.Fatalf("%v: %+v -> %+v", ok, before, o)
				}
			},
			"attach": func(t *rapid.T) {
				before := o
				mode := wire.Overflow(rapid.IntRange(0, 5).Draw(t, "mode"))
				w := fromWire(drawHostile(t))
				ok := o.attach(w, mode)
				if !ok && o != before || ok && (before.attached || o.window != w) {
					t.Fatalf("%v: %+v -> %+v", ok, before, o)
				}
			},
			"": func(t *rapid.T) {
				if o.room.Messages > o.window.Messages || o.room.Bytes > o.window.Bytes {
					t.Fatalf("room for %v of %v", o.room, o.window)
				}
				if o.window.Messages > mostRoom || o.window.Bytes > mostRoom {
					t.Fatalf("a window of %v", o.window)
				}
			},
		})
	})
}

// Whatever a hostile sender sends: what the receiver holds is bounded, what it has
// kept is the messages in their order and without a gap.
func TestC16_HostileSender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newInflow(drawWindow(t, "window").upTo(0), nil)
		trusted := in.window
		var next, taken byte
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				size := rapid.IntRange(0, 30).Draw(t, "size")
				next++
				in.arrive(append([]byte{next}, make([]byte, size)...), rapid.Bool().Draw(t, "probe"))
			},
			"take": func(t *rapid.T) {
				payload, _, ok := in.take()
				if ok && payload[0] != taken+1 {
					t.Fatalf("M02: message %d after %d", payload[0], taken)
				}
				if ok {
					taken++
				}
			},
			"open": func(t *rapid.T) {
				if in.attached {
					return
				}
				mode := wire.Overflow(rapid.IntRange(0, 2).Draw(t, "mode"))
				in.open(drawWindow(t, "open").upTo(0), mode, rapid.IntRange(0, 50).Draw(t, "keep"))
				trusted = amount{Messages: max(trusted.Messages, in.window.Messages), Bytes: max(trusted.Bytes, in.window.Bytes)}
			},
			"": func(t *rapid.T) { checkHeld(t, &in, trusted) },
		})
	})
}

// checkHeld is the bound on what a receiver holds: one message may be larger than
// the window, and one may be beyond credit.
func checkHeld(t *rapid.T, in *inflow, trusted amount) {
	const largest = 31
	held := 0
	for _, m := range in.queue {
		held += len(m)
	}
	bound := trusted.Bytes + 2*largest
	if in.overflow == wire.Overflow_OVERFLOW_KEEP {
		bound += in.keep
	} else if len(in.queue) > trusted.Messages+1 {
		t.Fatalf("%d messages are held, the window is %d", len(in.queue), trusted.Messages)
	}
	if held > bound || held != in.queued {
		t.Fatalf("%d bytes are held, counted as %d, the bound is %d", held, in.queued, bound)
	}
}

// M09: empty messages cost memory too.
func TestM09_EmptyMessagesCount(t *testing.T) {
	in := newInflow(Window{Messages: 1, Bytes: 10}, nil)
	in.open(in.window.upTo(0), wire.Overflow_OVERFLOW_KEEP, 20)
	kept := 0
	for in.arrive(nil, false) != overrun {
		if kept++; kept > 1000 {
			t.Fatal("there is no end to it")
		}
	}
	if kept != 31 {
		t.Errorf("%d empty messages were kept of 30 bytes' room and one more", kept)
	}
}

// A window is cut at the same size at both ends.
func TestM05_HugeWindows(t *testing.T) {
	huge := Window{Messages: 1 << 40, Bytes: 1 << 40}
	in := inflow{window: huge.orDefault()}
	if got := fromWire(huge.orDefault().wire()); got != in.window {
		t.Errorf("the sender knows %v, the receiver %v", got, in.window)
	}
	in = inflow{}
	in.open(huge, wire.Overflow_OVERFLOW_WAIT, 0)
	if got := fromWire(in.window.wire()); got != in.window {
		t.Errorf("opened: the sender knows %v, the receiver %v", got, in.window)
	}
}
