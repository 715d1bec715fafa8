package dialog

import (
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// windowBytes never binds: a message of the model is one byte.
const windowBytes = 100

// messages are the payloads: the model's messages are numbered.
var messages = func() (all [16][]byte) {
	for i := range all {
		all[i] = []byte{byte(i)}
	}
	return all
}()

func roomFor(n uint8) amount { return amount{Messages: int(n), Bytes: windowBytes} }

// event is Dialog.apply. err is whether the event comes with an error.
func (w *world) event(me int, e Event, err bool) Action {
	s := &w.side[me]
	old := s.st
	var do Action
	s.st, do = w.sc.step(old, e)
	if w.log != nil {
		w.note("  %s %v: %v -> %v %s", sideNames[me], e, old, s.st, do.names())
	}
	if (do&Interrupt != 0 || s.st.Phase == Ending || e == DoFail && old.Phase != Over) && err && !s.cause {
		s.cause, s.blamed = true, e == GotFail || e == GotError
	}
	if do&Answer != 0 {
		s.done, s.failed = true, err
		s.past.answers++
	}
	w.emit(me, do)
	s.interrupted = s.interrupted || do&Interrupt != 0
	w.checkStep(me, old, e, do)
	if s.st.Phase == Over {
		s.in.close()
		if !s.st.CancelSent || w.sc.rules.forgetsAsked {
			s.known, s.past.over = false, true
		}
	}
	return do
}

func (w *world) emit(me int, do Action) {
	s := &w.side[me]
	if do&SendStarted != 0 {
		s.in = w.sc.inflow(me)
		w.sendSized(me, packet{kind: uint8(wire.Kind_KIND_STARTED), n: uint8(s.in.window.Messages), flag: bits(s.in.attached && !w.sc.rules.silent)})
	}
	yields := uint8(s.out.sent)
	if w.sc.rules.countsNothing {
		yields = 0
	}
	if do&SendFail != 0 {
		w.sendFault(me, packet{kind: uint8(wire.Kind_KIND_FAIL), n: yields})
	}
	if do&SendCancel != 0 {
		w.send(me, control, packet{kind: uint8(wire.Kind_KIND_CANCEL)})
	}
	if do&SendCancelAck != 0 {
		w.send(me, control, packet{kind: uint8(wire.Kind_KIND_CANCEL_ACK)})
	}
	if do&SendReturn != 0 {
		w.sendSized(me, packet{kind: uint8(wire.Kind_KIND_RETURN)})
	}
	if do&SendError != 0 {
		w.sendFault(me, packet{kind: uint8(wire.Kind_KIND_ERROR), n: yields})
	}
}

// sendFault is outlet.sendFault.
func (w *world) sendFault(me int, p packet) {
	w.send(me, control, p)
	if w.side[me].out.hangUp() {
		w.send(me, data, packet{kind: uint8(wire.Kind_KIND_STOP)})
	}
}

// sendSized sends in the lane that outlet.lane gives; how large the value is was decided before.
func (w *world) sendSized(me int, p packet) {
	lane := control
	if w.side[me].ordered && !w.sc.rules.returnOvertakes || w.big {
		lane = data
	}
	w.send(me, lane, p)
}

// frame is Table.Frame and Dialog.frame.
func (w *world) frame(me int, p packet, refused bool) {
	s := &w.side[me]
	if p.is(wire.Kind_KIND_CANCEL) || p.is(wire.Kind_KIND_FAIL) || p.is(wire.Kind_KIND_ERROR) || p.is(wire.Kind_KIND_LOST) {
		s.past.told = true
	}
	switch {
	case p.is(wire.Kind_KIND_START):
		w.accept(p, refused)
		return
	case !s.known:
		w.stray(me, p)
		return
	}
	switch wire.Kind(p.kind) {
	case wire.Kind_KIND_YIELD:
		w.gotYield(me, p)
	case wire.Kind_KIND_CREDIT:
		if p.flag > 0 {
			s.out.grow(roomFor(p.flag))
		}
		if !s.out.grant(&wire.Window{Messages: uint32(p.n), Bytes: uint64(p.n)}) {
			w.accuse(me, p)
		}
	case wire.Kind_KIND_ATTACH:
		if !s.out.attach(roomFor(p.n), wire.Overflow(p.flag)) {
			w.accuse(me, p)
		}
	case wire.Kind_KIND_ARGUMENTS:
		if !s.awaits {
			w.accuse(me, p)
		}
		s.awaits = false
	case wire.Kind_KIND_STOP:
		s.in.stopped = true
		s.out.deaf = s.out.deaf || p.flag != 0
	default:
		w.gotStep(me, p)
	}
	if !s.in.tally() {
		w.accuse(me, p)
	}
}

// accuse is a violation, which an honest peer never commits.
func (w *world) accuse(me int, p packet) {
	w.fail("C16", sideNames[me]+" takes "+p.String()+" of an honest peer for a violation in "+w.side[me].st.String())
}

// stepEvents are the frames that the state machine handles, as Dialog.take has them.
var stepEvents = map[wire.Kind]Event{
	wire.Kind_KIND_STARTED: GotStarted, wire.Kind_KIND_RETURN: GotReturn, wire.Kind_KIND_ERROR: GotError,
	wire.Kind_KIND_LOST: GotError, wire.Kind_KIND_FAIL: GotFail, wire.Kind_KIND_CANCEL: GotCancel, wire.Kind_KIND_CANCEL_ACK: GotCancelAck,
}

func (w *world) gotStep(me int, p packet) {
	s := &w.side[me]
	e := stepEvents[wire.Kind(p.kind)]
	switch e {
	case GotStarted:
		if s.st.Phase == Opening {
			if s.interrupted {
				w.fail("C14", "a body is to begin although its dialog has failed before")
			}
			s.announced(p)
			s.began = true
		}
	case GotError, GotFail:
		s.in.limited, s.in.limit = true, uint64(p.n)
	}
	if w.event(me, e, e != GotStarted && (e != GotReturn || s.st.Phase == Opening))&Violate != 0 {
		w.accuse(me, p)
	}
}

// announced is Dialog.announced.
func (s *side) announced(p packet) {
	s.out.announce(roomFor(p.n))
	if p.flag&1 != 0 {
		s.out.attach(roomFor(p.n), wire.Overflow_OVERFLOW_WAIT)
	}
}

func (w *world) gotYield(me int, p packet) {
	s := &w.side[me]
	if s.st.Phase == Opening {
		w.accuse(me, p)
		return
	}
	s.own()
	probe := p.flag != 0
	became := s.in.arrive(messages[p.n], probe)
	w.checkArrival(me, became, probe)
	switch became {
	case doubtful:
		if w.sc.rules.hasty {
			w.overrun(me)
		}
		w.judge(me, false)
	case overrun:
		w.overrun(me)
	case overpaid:
		w.accuse(me, p)
	}
}

func (w *world) overrun(me int) {
	s := &w.side[me]
	w.checkOverrun(me)
	s.past.overran = true
	w.event(me, DoBreak, true)
}

// judged is Dialog.judged.
func (s *side) judged() bool { return !s.in.doubted || s.cause || s.asked || s.done }

// judge is Dialog.judgeProbe.
func (w *world) judge(me int, over bool) {
	s := &w.side[me]
	if s.judged() || !over && !s.waits {
		return
	}
	s.past.shown = true
	s.in.doubted, s.in.broken = false, true
	w.note("  %s will not open its stream", sideNames[me])
	w.overrun(me)
}

// stray is Table.stray, for the one dialog that the model has.
func (w *world) stray(me int, p packet) {
	if me == callee && !w.side[me].past.over {
		w.accuse(me, p)
	}
	w.note("    dropped: the dialog is over")
}

// accept is Table.accept: the task, or the refusal.
func (w *world) accept(p packet, refused bool) {
	s := &w.side[callee]
	s.known, s.task, s.awaits = true, waiting, p.flag&2 != 0
	s.announced(p)
	s.out.attached = s.out.attached || w.sc.kind == Source
	s.st.Phase = Live
	if w.sc.kind == Context {
		s.st.Phase = Starting
	}
	if refused {
		w.note("  callee refuses")
		s.task = ended
		w.event(callee, DoFail, true)
	}
}

// stop is Dialog.stop.
func (w *world) stop(me int, deaf bool) {
	s := &w.side[me]
	if s.st.Phase == Over || s.st.Cut || s.out.stopped && (!deaf || s.in.deaf) {
		return
	}
	s.out.stopped = true
	if deaf {
		s.in.close()
	}
	if s.done {
		return
	}
	w.send(me, data, packet{kind: uint8(wire.Kind_KIND_STOP), flag: bits(deaf)})
}

// failure is Dialog.verdict: whether the failure that ends all sending is known.
func (s *side) failure() bool {
	if s.done {
		return s.failed
	}
	return s.cause
}

// closed says that the task of this side sends no more; over only matters to
// goroutines that a callee's task left behind.
func (w *world) closed(s *side) bool {
	return s.out.stopped || s.st.Phase == Over && !w.sc.rules.sendsWhenOver
}

// trySend is Dialog.trySend, and the part of yield around it.
func (w *world) trySend(me int) {
	s := &w.side[me]
	s.sending = idle
	if s.failure() || w.closed(s) || s.done {
		return
	}
	switch now := s.out.ask(1); now {
	case waitForIt:
		s.sending = blocked
	case sendIt, probeIt:
		s.past.sent++
		w.send(me, data, packet{kind: uint8(wire.Kind_KIND_YIELD), n: uint8(s.out.sent), flag: bits(now == probeIt)})
		if now == sendIt {
			return
		}
		s.past.probes++
		s.sending = probing
		if w.sc.rules.impatient {
			s.sending, s.out.probed = idle, false
		}
	}
}

// canResume reports whether a Send that waits would return, or send, now.
func (w *world) canResume(me int) bool {
	s := &w.side[me]
	if s.sending == idle {
		return false
	}
	if s.failure() || w.closed(s) || s.done || s.out.deaf {
		return true
	}
	if s.sending == probing {
		return s.out.attached
	}
	account := s.out
	return account.ask(1) != waitForIt
}

func (w *world) resume(me int) {
	s := &w.side[me]
	if s.sending == probing {
		s.sending = idle
		return
	}
	w.trySend(me)
}

// exhausted is Dialog.exhausted, with what recv makes of it: whether Recv reports
// the end now.
func (s *side) exhausted() bool {
	tail := s.in.limited && !s.in.ended() && !s.st.Cut
	return s.in.deaf || (s.cause || s.done || s.in.stopped) && !tail
}

func (w *world) canRecv(me int) bool {
	s := &w.side[me]
	if !s.in.attached || s.in.deaf || s.past.heardEnd || s.st.Phase == Starting {
		return false
	}
	return len(s.in.queue) > 0 || s.exhausted()
}

// recv is Dialog.recv.
func (w *world) recv(me int) {
	s := &w.side[me]
	if len(s.in.queue) == 0 {
		s.past.heardEnd = true
		w.note("    the end is reported")
		w.checkEnd(me)
		return
	}
	s.own()
	payload, credit, _ := s.in.take()
	s.past.got++
	if w.log != nil {
		w.note("    message #%d", payload[0])
	}
	if payload[0] != s.past.got {
		w.fail("M02", sideNames[me]+" gets messages out of order, or not all")
	}
	if credit != nil && !s.done && s.st.Phase != Over && !s.in.stopped {
		p := packet{kind: uint8(wire.Kind_KIND_CREDIT), n: uint8(credit.Messages) + w.sc.rules.invents, flag: uint8(s.in.window.Messages)}
		if w.sc.rules.growsAlone {
			p.flag = 0
		}
		w.send(me, control, p)
	}
}

// canStarve is where a task that waits for a message changes something.
func (w *world) canStarve(me int) bool {
	s := &w.side[me]
	return s.in.attached && !s.in.deaf && len(s.in.queue) == 0 && s.in.spent && s.in.window.Messages < s.in.want.Most
}

var actionNames = []string{
	"SendStarted", "SendFail", "SendCancel", "SendCancelAck", "SendReturn", "SendError",
	"Interrupt", "Begin", "Answer", "Acked", "Refuse", "Violate",
}

// names lists the actions of a set.
func (do Action) names() []string {
	var all []string
	for i, name := range actionNames {
		if do&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return all
}
