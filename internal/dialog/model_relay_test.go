package dialog

import "github.com/seed-2ba35074/trellis/internal/wire"

// relaying is the one relay that a world may have. Its passage is the real one; the rest is relay.go once more.
type relaying struct {
	passage
	known   bool    // it has the dialog
	told    bool    // the opener, that how the callee ended is not known
	ordered [2]bool // what goes to this side
	lost    [2]bool // the link to this side has ended
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
			func(w *world) bool {
				return from == opener && w.cut && !sc.narrow && w.relay.known && w.relay.over && w.relay.unacked
			},
			func(w *world) { w.relay.unacked = false; w.settle() }),
	}
	if sc.narrow {
		all = append(all, may("the relay cannot send on a data frame from the "+sideNames[from],
			func(w *world) bool { return w.lane[from].canTake(data) },
			func(w *world) {
				p := w.lane[from].take(data)
				if w.relay.known && w.relay.passes(from, wire.Kind(p.kind)) {
					w.unsendable(p)
				}
			}))
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

// relayed is leg.pass, and relay.start. came is the lane; what is large came with the data, too.
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
	if !r.known || !r.passes(from, kind) {
		w.note("    dropped: it does not pass")
		if to := &w.side[1-from]; p.is(wire.Kind_KIND_YIELD) && to.known && !to.in.deaf && !w.cut && !r.broken {
			w.fail("M04", "the relay drops a message that its receiver waits for")
		}
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
	case wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL:
		if r.broken {
			p.n = uint8(r.sent[1-from])
		}
	case wire.Kind_KIND_CANCEL:
		if r.gone && from == callee {
			w.answer()
			return
		}
	}
	if !w.sc.rules.forgetsTail || kind != wire.Kind_KIND_ERROR {
		r.passed(from, kind, uint64(p.n))
	} else {
		r.passed(from, kind, 0)
	}
	w.settle()
	w.forward(from, lane, p)
}

// settle is relay.settle.
func (w *world) settle() {
	r := &w.relay
	r.known = r.known && !r.done() && (!r.over || !r.unacked || !w.sc.rules.forgetsCancel)
}

// forward is leg.sendOn.
func (w *world) forward(from, lane int, p packet) {
	w.relay.ordered[1-from] = w.relay.ordered[1-from] || lane == data
	if !w.relay.lost[1-from] && !w.side[1-from].lost {
		w.onward[from].put(lane, p, false)
	}
}

// tell is leg.tell.
func (w *world) tell(side int, kind wire.Kind) {
	n := uint8(w.relay.sent[side])
	w.relay.told = w.relay.told || kind == wire.Kind_KIND_LOST
	w.forward(1-side, control, packet{kind: uint8(kind), n: n})
	if n > 0 {
		w.forward(1-side, data, packet{kind: uint8(wire.Kind_KIND_STOP)})
	}
}

// unsendable is where leg.pass finds that a frame cannot be sent on.
func (w *world) unsendable(p packet) {
	r := &w.relay
	w.cut = true
	switch {
	case isEnding(wire.Kind(p.kind)):
		n := uint8(r.sent[opener])
		r.passed(callee, wire.Kind_KIND_LOST, uint64(n))
		r.told = true
		w.settle()
		w.forward(callee, control, packet{kind: uint8(wire.Kind_KIND_LOST), n: n})
	case !r.broken: // relay.fail
		r.broken, r.tail = true, 0
		w.tell(opener, wire.Kind_KIND_FAIL)
		if !r.over && !w.sc.rules.keepsFailure {
			w.tell(callee, wire.Kind_KIND_FAIL)
		}
		w.settle()
	}
}

// answer is relay.answer.
func (w *world) answer() {
	w.relay.unacked = false
	w.forward(opener, control, packet{kind: uint8(wire.Kind_KIND_CANCEL_ACK)})
}

// loseLeg is leg.lose.
func (w *world) loseLeg(side int) {
	r := &w.relay
	r.lost[side], w.cut = true, true
	w.lane[side] = lanes{}
	w.onward[1-side] = lanes{}
	if !r.known {
		return
	}
	switch {
	case w.sc.rules.keepsLoss:
	case side == callee && (!r.over || r.tailing()):
		w.tell(opener, wire.Kind_KIND_LOST)
	case side == opener && !r.over:
		w.tell(callee, wire.Kind_KIND_FAIL)
	}
	if side == opener && r.unacked {
		w.answer()
	}
	r.passage.lost(side)
	w.settle()
}

// tidy forgets what can have no effect any more.
func (r *relaying) tidy() {
	if !r.known && r.over {
		r.passage, r.ordered = passage{over: true}, [2]bool{}
	}
}

func (r *relaying) encode(b []byte) []byte {
	b = append(b, bits(r.known, r.over, r.unacked, r.ordered[0], r.ordered[1]), bits(r.lost[0], r.lost[1], r.broken, r.gone, r.told))
	return append(b, uint8(r.sent[opener]), uint8(r.sent[callee]), uint8(r.tail))
}
