package dialog

import (
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// scenario bounds what the environment may do. All that it allows may happen at
// any moment, or never.
type scenario struct {
	name     string
	kind     Kind
	window   uint8
	sends    [2]uint8 // messages, by side
	opens    uint8    // the window of the opener's end from when that is open; 0: as before
	reads    [2]bool  // the stream is open from the start
	lent     uint8    // what of the window is to be had at first; 0: all
	most     uint8    // and one that nobody has set grows to so much, while its reader keeps up
	overflow wire.Overflow
	cancels  [2]uint8 // calls of Cancel
	inTask   [2]bool  // the task itself calls Cancel, and waits
	aborts   [2]uint8 // the task's caller or actor wants it to end
	breaks   [2]uint8 // the runtime finds the dialog broken
	fails    [2]bool  // the task may fail
	starts   uint8    // calls of Started, 1 if 0
	large    bool     // Start, Started and Return may be large
	closes   bool     // a task may close its stream before it ends
	waits    bool     // the opener's task may wait for the callee, or its ctx, to end
	helpers  bool     // Send is called by a goroutine that may outlive the task
	refuse   bool     // the callee's actor may refuse the Start
	goexit   bool     // the opener's task may end by runtime.Goexit
	timeouts bool     // a Cancel may time out
	loss     bool     // the link may be lost
	relayed  bool     // there are two links, and a relay between them
	narrow   bool     // which may be unable to send data on

	step  func(State, Event) (State, Action)
	rules glue
}

// glue is what may be wrong around the state machine; all is right in the zero
// value. These are the mistakes that the model must notice.
type glue struct {
	dataOvertakes   bool  // a data frame may overtake a control frame that was sent before
	returnOvertakes bool  // a Return does not keep behind its dialog's messages
	eager           bool  // a task begins although its arguments are still to come
	argumentsFirst  bool  // large arguments go before their Start
	forgetsAsked    bool  // a dialog whose Cancel is unanswered leaves the table when it is over
	sendsWhenOver   bool  // Send goes on after the callee's task has ended
	skipsBody       bool  // a body does not begin if its dialog has failed since Started came, and nobody is told
	attachesWhenCut bool  // a stream that is opened after a cut is still told to the peer
	countsNothing   bool  // Error and Fail do not say how many messages went before
	impatient       bool  // a sender does not wait for the verdict on its message beyond credit
	invents         uint8 // a Credit grants so much too much
	growsAlone      bool  // a window grows, and its sender is not told
	hasty           bool  // a message beyond the window is judged when it comes
	undecided       bool  // nobody judges it, however long its task takes
	strict          bool  // a sender that does not know of a smaller window yet breaks the protocol
	silent          bool  // the peer is not told that a stream is open from the start
	relaysAll       bool  // a relay has one lane for all values
	forgetsCancel   bool  // a relay forgets a dialog with its ending, whatever is unanswered
	keepsLoss       bool  // a relay does not tell of a lost link
	keepsFailure    bool  // nor the callee that it could not send a frame on
	forgetsTail     bool  // and forgets a dialog with its failure, whatever messages that has overtaken
}

func (sc *scenario) begin() world {
	w := world{sc: sc}
	o := &w.side[opener]
	o.in = sc.inflow(opener)
	o.in.attached = o.in.attached || sc.kind == Source
	if sc.step == nil {
		sc.step = Step
	}
	return w
}

// inflow is Dialog.receive.
func (sc *scenario) inflow(me int) inflow {
	room := roomFor(sc.window)
	in := inflow{window: room, allowed: room, want: Window{room.Messages, room.Bytes, int(sc.most)}}
	if sc.lent > 0 {
		in.window = roomFor(sc.lent)
		in.allowed = in.window
	}
	if sc.reads[me] {
		in.open(Window{}, wire.Overflow_OVERFLOW_WAIT, 0)
	}
	return in
}

// start is Table.begin.
func (w *world) start(large bool) {
	o := &w.side[opener]
	o.known, o.task = true, running
	if w.sc.kind == Context {
		o.task = waiting
	} else {
		o.st.Phase = Open
	}
	arguments := packet{kind: uint8(wire.Kind_KIND_ARGUMENTS)}
	if large && w.sc.rules.argumentsFirst {
		w.send(opener, data, arguments)
	}
	w.send(opener, control, packet{
		kind: uint8(wire.Kind_KIND_START), n: uint8(o.in.window.Messages), flag: bits(w.sc.reads[opener] && !w.sc.rules.silent, large),
	})
	if large && !w.sc.rules.argumentsFirst {
		w.send(opener, data, arguments)
	}
}

// ops lists everything that can happen in the scenario.
func (sc *scenario) ops() []op {
	all := []op{{
		name: "opener opens",
		can:  func(w *world) bool { return w.side[opener].task == absent },
		do:   func(w *world) { w.start(false) },
	}}
	if sc.large {
		all = append(all, op{
			name: "opener opens, with large arguments",
			can:  func(w *world) bool { return w.side[opener].task == absent },
			do:   func(w *world) { w.start(true) },
		})
	}
	for me := range 2 {
		all = append(all, sc.network(me)...)
		all = append(all, sc.environment(me)...)
		all = append(all, sc.streaming(me)...)
	}
	all = append(all, sc.openerTask()...)
	return append(all, sc.calleeTask()...)
}

// may makes an op that never has to happen.
func may(name string, can func(w *world) bool, do func(w *world)) op {
	return op{name: name, can: can, do: do, fair: func(*world) bool { return false }}
}

// must makes an op that happens sooner or later.
func must(name string, can func(w *world) bool, do func(w *world)) op {
	return op{name: name, can: can, do: do}
}

func (sc *scenario) network(from int) []op {
	all := []op{
		must("control frame from the "+sideNames[from],
			func(w *world) bool { return w.arriving(from).canTake(control) },
			func(w *world) { w.deliver(from, control, false) }),
		must("data frame from the "+sideNames[from],
			func(w *world) bool { return w.arriving(from).canTake(data) },
			func(w *world) { w.deliver(from, data, false) }),
	}
	if sc.refuse && from == opener {
		all = append(all, may("the callee's actor is closing",
			func(w *world) bool {
				q := w.arriving(opener)
				return q.canTake(control) && q[control].at[0].is(wire.Kind_KIND_START)
			},
			func(w *world) { w.deliver(opener, control, true) }))
	}
	if sc.relayed {
		all = append(all, sc.relaying(from)...)
	}
	if sc.loss {
		all = append(all, op{
			name: sideNames[from] + " sees the link end",
			fair: func(w *world) bool { return w.cannotArrive(from) },
			can: func(w *world) bool {
				return !w.side[from].lost && w.side[opener].task != absent && (w.cannotArrive(from) || w.alive())
			},
			do: func(w *world) { w.lose(from) },
		})
	}
	return all
}

func (w *world) alive() bool { return w.side[opener].known || w.side[callee].known }

// environment is what others than the task do to a side.
func (sc *scenario) environment(me int) []op {
	who := sideNames[me]
	inTask := sc.inTask[me]
	all := []op{
		may(who+"'s task is to end, its caller says",
			func(w *world) bool { return w.side[me].known && w.side[me].used.aborts < sc.aborts[me] },
			func(w *world) { w.side[me].used.aborts++; w.event(me, DoAbort, true) }),
		may(who+"'s runtime finds the dialog broken",
			func(w *world) bool { return w.side[me].task == running && w.side[me].used.breaks < sc.breaks[me] },
			func(w *world) { w.side[me].used.breaks++; w.event(me, DoBreak, true) }),
		may(who+" calls Cancel",
			func(w *world) bool {
				s := &w.side[me]
				return s.known && s.cancelling == none && s.used.cancels < sc.cancels[me] &&
					(s.task == running && (!inTask || s.sending == idle) || s.task == ended && !inTask)
			},
			func(w *world) { w.cancel(me) }),
	}
	if sc.timeouts || sc.loss {
		both := sc.inTask[0] && sc.inTask[1] // each waits for the other
		all = append(all, op{
			name: who + "'s Cancel times out",
			fair: func(w *world) bool { return w.cut || both },
			can:  func(w *world) bool { return w.side[me].cancelling == asking && (sc.timeouts || w.cut) },
			do:   func(w *world) { w.timeout(me) },
		})
	}
	if sc.timeouts && me == opener {
		all = append(all, may("opener's deadline and the bound after it are over", func(w *world) bool {
			s := &w.side[opener]
			return s.known && !s.done && s.st.FailSent && (s.st.Phase == Stopping || s.st.Phase == Draining)
		}, func(w *world) { w.cut = true; w.event(opener, Overdue, true) }))
	}
	return all
}

// cancel is the first half of Dialog.Cancel; tidy ends it when the ack is there.
func (w *world) cancel(me int) {
	s := &w.side[me]
	s.used.cancels++
	s.asked = true
	w.event(me, DoCancel, true)
	if s.st.CancelSent {
		s.cancelling = asking
	}
}

func (w *world) timeout(me int) {
	w.cut = true
	w.side[me].cancelling = none
	w.event(me, Timeout, true)
}

// free reports whether the task is not in a call that blocks.
func (w *world) free(me int) bool {
	s := &w.side[me]
	return s.task == running && !s.waits && !s.idles &&
		(w.sc.helpers || s.sending == idle) && (!w.sc.inTask[me] || s.cancelling == none)
}

// streaming is what tasks do with the stream.
func (sc *scenario) streaming(me int) []op {
	who := sideNames[me]
	all := []op{
		must(who+"'s Send goes on",
			func(w *world) bool { return w.canResume(me) },
			func(w *world) { w.resume(me) }),
	}
	if sc.kind == Func {
		return nil
	}
	if sc.kind == Context {
		all = append(all,
			may(who+" opens its stream",
				func(w *world) bool { return w.canOpenStream(me) },
				func(w *world) { w.openStream(me) }),
			must(who+" has taken too long to open its stream", // awaitReady
				func(w *world) bool {
					s := &w.side[me]
					return !s.judged() && s.task == running && !w.sc.rules.undecided
				},
				func(w *world) { w.judge(me, true) }))
	}
	all = append(all,
		may(who+" sends", func(w *world) bool { return w.canSend(me) },
			func(w *world) { w.side[me].used.sends++; w.trySend(me) }),
		may(who+" receives", func(w *world) bool { return w.free(me) && w.canRecv(me) },
			func(w *world) { w.recv(me) }),
		may(who+" waits for a message", func(w *world) bool { return w.free(me) && w.canStarve(me) },
			func(w *world) { w.side[me].in.take() }))
	if sc.closes {
		for deaf, what := range []string{" closes its sending end", " closes its stream"} {
			all = append(all, may(who+what,
				func(w *world) bool {
					s := &w.side[me]
					return w.free(me) && s.used.closes <= uint8(deaf) && (s.in.attached || s.out.attached)
				},
				func(w *world) { w.side[me].used.closes = uint8(deaf) + 1; w.stop(me, deaf == 1) }))
		}
	}
	return all
}

// canOpenStream is where OpenStream gives a stream and no error.
func (w *world) canOpenStream(me int) bool {
	s := &w.side[me]
	failed := s.cause && (!s.done || !s.blamed) // what a callee sent before it failed can be received
	return w.free(me) && s.st.Phase != Starting && !s.in.attached && !s.in.deaf && !failed && (!s.asked || s.done)
}

func (w *world) openStream(me int) {
	s := &w.side[me]
	room, overflow := Window{}, wire.Overflow_OVERFLOW_WAIT
	if me == opener && w.sc.most == 0 {
		room.Messages, overflow = int(w.sc.opens), w.sc.overflow
	}
	s.in.open(room, overflow, 0)
	if w.sc.rules.strict {
		s.in.allowed.Messages, s.in.unused = s.in.allowed.Messages-s.in.unused, 0
	}
	if (s.st.Cut || s.done) && !w.sc.rules.attachesWhenCut {
		return
	}
	w.send(me, control, packet{kind: uint8(wire.Kind_KIND_ATTACH), n: uint8(s.in.window.Messages), flag: uint8(overflow)})
}

// canSend is where Send has an effect.
func (w *world) canSend(me int) bool {
	s := &w.side[me]
	mine := s.in.attached && s.st.Phase != Starting || w.sc.kind == Source && me == callee
	if w.sc.kind == Source && me == opener || !mine || s.sending != idle || s.used.sends >= w.sc.sends[me] {
		return false
	}
	if !w.free(me) && (!w.sc.helpers || s.task != ended) {
		return false
	}
	return !s.failure() && !w.closed(s) && !s.done && !s.out.deaf
}
