package dialog

import "github.com/seed-2ba35074/trellis/internal/wire"

// relaying is the one relay that a world may have: relay.go once more.
type relaying struct {
	known   bool // it has the dialog
	over    bool
	unacked bool
	ordered [2]bool // what goes to this side
	lost    [2]bool // the link to this side has ended
	told    [2]bool // this side, that the other one is lost
}

// relaying are the relay's readers of both links, and the ends of these.
func (sc *scenario) relaying(from int) []op {
	all := []op{
		must("control frame from the "+sideNames[from]+" at the relay",
			func(w *world) bool { return w.lane[from].canTake(control) },
			func(w *world) { w.relayed(from, control, w.lane[from].take(control)) }),
		must("data frame from the "+sideNames[from]+" at the relay",
			func(w *world) bool { return w.lane[from].canTake(data) },
			func(w *world) { w.relayed(from, data, w.lane[from].take(data)) }),
		must("the relay waits no longer for the opener's answer",
			func(w *world) bool { return from == opener && w.cut && w.relay.known && w.relay.over },
			func(w *world) { w.relay.known = false }),
	}
	if sc.loss {
		all = append(all, op{
			name: "the relay sees the link to the " + sideNames[from] + " end",
			fair: func(w *world) bool { return w.side[from].lost },
			can: func(w *world) bool {
				return !w.relay.lost[from] && w.side[opener].task != absent && (w.side[from].lost || w.alive())
			},
			do: func(w *world) { w.loseLeg(from) },
		})
	}
	return all
}

// relayed is leg.pass, and passOn. came is the lane; what is large came with the data, too.
func (w *world) relayed(from, came int, p packet) {
	r := &w.relay
	kind := wire.Kind(p.kind)
	if kind == wire.Kind_KIND_START {
		if r.lost[callee] { // it is refused
			w.onward[callee].put(control, packet{kind: uint8(wire.Kind_KIND_ERROR)}, false)
			w.side[callee].task, w.side[callee].past.endings = ended, 1
			return
		}
		r.known = true
		w.forward(from, control, p)
		return
	}
	if !r.known {
		w.note("    dropped: the relay has no such dialog")
		return
	}
	ending := kind == wire.Kind_KIND_RETURN || kind == wire.Kind_KIND_ERROR
	if r.over && kind != wire.Kind_KIND_CANCEL_ACK {
		return
	}
	lane := control
	switch kind {
	case wire.Kind_KIND_YIELD, wire.Kind_KIND_STOP, wire.Kind_KIND_ARGUMENTS:
		lane = data
	case wire.Kind_KIND_STARTED, wire.Kind_KIND_RETURN:
		if (r.ordered[1-from] || came == data) && !w.sc.rules.relaysAll {
			lane = data
		}
	case wire.Kind_KIND_CANCEL:
		r.unacked = r.unacked || from == callee
	case wire.Kind_KIND_CANCEL_ACK:
		r.unacked = r.unacked && from != opener
		r.known = !r.over
	}
	if ending {
		r.over = true
		r.known = r.unacked && !w.sc.rules.forgetsCancel
	}
	w.forward(from, lane, p)
}

// forward is leg.send.
func (w *world) forward(from, lane int, p packet) {
	w.relay.ordered[1-from] = w.relay.ordered[1-from] || lane == data
	if !w.relay.lost[1-from] && !w.side[1-from].lost {
		w.onward[from].put(lane, p, false)
	}
}

// loseLeg is Table.loseLegs, at the relay.
func (w *world) loseLeg(side int) {
	r := &w.relay
	r.lost[side], w.cut = true, true
	w.lane[side] = lanes{}
	w.onward[1-side] = lanes{}
	if r.known && !r.over && !w.sc.rules.keepsLoss {
		r.told[1-side] = true
		w.forward(side, control, packet{kind: uint8(wire.Kind_KIND_LOST)})
	}
	if r.known {
		r.known, r.over = false, true
	}
}

// tidy forgets what can have no effect any more.
func (r *relaying) tidy() {
	if !r.known && r.over {
		r.unacked, r.ordered = false, [2]bool{}
	}
}

func (r *relaying) encode(b []byte) []byte {
	return append(b, bits(r.known, r.over, r.unacked, r.ordered[0], r.ordered[1]), bits(r.lost[0], r.lost[1], r.told[0], r.told[1]))
}
