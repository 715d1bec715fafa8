package dialog

// checkStep holds one step of one side against the rules.
func (w *world) checkStep(me int, old State, e Event, do Action) {
	s, peer := &w.side[me], &w.side[1-me]
	answered := me == opener && s.done || me == callee && s.task == ended
	if do&Acked != 0 && e != Timeout && e != Overdue && !s.st.Cut && !answered && !w.taskOver(1-me) && (me != callee || !w.relay.lost[opener]) {
		w.fail("C10", "the "+sideNames[me]+"'s Cancel is done before the other task has ended")
	}
	if do&Answer != 0 && e == GotError && peer.past.returned && !w.relay.told {
		w.fail("C12", "a value was returned, and a failure is the outcome")
	}
	if me == callee && (e == DoSucceed || e == DoFail) {
		w.checkEnding(old, e, do)
	}
	switch e {
	case DoAbort, DoFail, DoBreak, Timeout, Overdue, Lost:
		w.checkFailure(me, old, e)
	case GotCancel:
		if old.Phase == Opening && !s.st.FailSent {
			w.fail("C07", "the callee runs on for an opener whose body will never begin")
		}
	case DoCancel:
		if old.Phase == Settled && do&Interrupt == 0 {
			w.fail("C24", "Cancel does not interrupt the scope")
		}
	case DoStarted:
		if old.Phase == Starting && do&SendStarted == 0 || old.Cut && do&Refuse == 0 {
			w.fail("C01", "Started is not sent, or nobody can hear it, and it says that all is well")
		}
		if old.Phase != Starting && do&Refuse == 0 || old.Phase == Live && (!s.st.FailSent || do&Interrupt == 0) {
			w.fail("C02", "Started can be called twice")
		}
	}
}

// checkFailure is called when a side has failed by itself.
func (w *world) checkFailure(me int, old State, e Event) {
	s := &w.side[me]
	answered := old.Phase == Settled || old.Phase == Over
	theirs := me == opener || e == DoBreak || e == Timeout // else the callee's Error tells it
	silent := answered || s.st.Cut || e == Lost || e == DoFail && old.Phase == Draining
	if theirs && !silent && !s.st.FailSent {
		w.fail("C07", "the "+sideNames[me]+"'s failure is not told to its peer")
	}
	if me == opener && (e == Timeout || e == Overdue || e == Lost) && (!s.st.Cut || !s.done) && s.known {
		w.fail("C10", "the dialog is not cut")
	}
	if e == Lost && answered || e == DoFail {
		return
	}
	if s.task == running && w.sc.kind != Func && !s.interrupted {
		w.fail("C08", "the "+sideNames[me]+"'s dialog has failed, and its task's ctx goes on")
	}
}

func (w *world) checkEnding(old State, e Event, do Action) {
	s := &w.side[callee]
	if do&SendReturn != 0 {
		s.past.returned = true
	}
	switch {
	case e == DoSucceed && s.interrupted && do&SendReturn != 0:
		w.fail("C12", "a value that came after the cancel was sent")
	case e == DoSucceed && old.Phase == Live && !s.interrupted && !s.st.Cut && do&SendReturn == 0:
		w.fail("C12", "a value that came before any cancel was not sent")
	}
}

// checkSend holds every frame that goes out against the rules.
func (w *world) checkSend(me int, p packet) {
	s := &w.side[me]
	k := kindOf(p)
	switch {
	case s.lost:
		return // the outbox is closed
	case s.st.Cut:
		w.fail("C15", sideNames[me]+" sends "+p.String()+" after the dialog was cut")
	case s.past.over || s.past.endings > 0 && (k != "STOP" || s.out.sent == 0):
		w.fail("C15", sideNames[me]+" sends "+p.String()+" after its end")
	case k == "FAIL" && !s.cause:
		w.fail("C07", sideNames[me]+" reports a failure without saying which")
	case k == "YIELD" && p.flag != 0 && w.sc.reads[1-me]:
		w.fail("M07", sideNames[me]+" asks whether an end is open that is open from the start")
	case k == "YIELD" && s.past.endSent:
		w.fail("M03", sideNames[me]+" sends a message after the end of its stream")
	case k == "FAIL" && s.past.failSent, k == "STARTED" && s.past.startedSent:
		w.fail("C02", sideNames[me]+" sends "+k+" twice")
	}
	s.past.failSent = s.past.failSent || k == "FAIL"
	s.past.startedSent = s.past.startedSent || k == "STARTED"
	if k == "RETURN" || k == "ERROR" {
		s.past.endings++
	}
	s.past.endSent = s.past.endSent || k == "STOP" || k == "FAIL" || k == "RETURN" || k == "ERROR"
}

// taskOver reports whether a side's task has ended, or will never begin.
func (w *world) taskOver(me int) bool {
	s := &w.side[me]
	return s.task == ended || me == opener && s.task == waiting && (s.st.Phase == Draining || s.st.Phase == Over)
}

// checkArrival holds the receiver's verdict on a message against M07.
func (w *world) checkArrival(me int, became arrival, probe bool) {
	s := &w.side[me]
	if probe {
		s.past.verdicts++
	}
	if s.past.verdicts > 1 {
		w.fail("M07", "a second message beyond credit")
	}
	if became == doubtful && (!probe || int(s.in.received) != s.in.window.Messages+1) {
		w.fail("M07", "a message is judged for which there was room")
	}
}

// checkOverrun holds the receiver's failure against M07.
func (w *world) checkOverrun(me int) {
	s := &w.side[me]
	if s.in.overflow == 0 && (s.in.attached || !s.past.shown) {
		w.fail("M07", "an overrun of an end that is open, or may still be opened in time")
	}
}

// checkEnd is called when Recv reports the end.
func (w *world) checkEnd(me int) {
	s, peer := &w.side[me], &w.side[1-me]
	byPeer := s.in.limited || !s.failure()
	if byPeer && !w.cut && !s.past.overran && s.past.got != peer.past.sent {
		w.fail("M04", sideNames[me]+"'s Recv reports the end before what was sent ahead of it")
	}
}

// check holds the whole world against what must be true at every moment.
func (w *world) check() {
	w.checkScope()
	for me := range w.side {
		s := &w.side[me]
		if s.past.told && s.task == running && w.sc.kind != Func && !s.interrupted {
			w.fail("C07 C08 C14", "the "+sideNames[me]+"'s task was told to end, and its ctx goes on")
		}
		if s.past.answers > 1 || s.past.endings > 1 {
			w.fail("C23", "the "+sideNames[me]+"'s dialog ends twice")
		}
		w.checkCredit(me)
	}
	if o := &w.side[opener]; o.asked && o.done && o.task == running && !o.interrupted {
		w.fail("C24", "the cancelled callee has ended, and the opener's ctx goes on")
	}
}

// checkScope is C05: the opener's scope never ends before the callee's task, but
// where the dialog was cut; the callee is then told, or will be.
func (w *world) checkScope() {
	o, c := &w.side[opener], &w.side[callee]
	if o.task != ended || o.known || !o.past.over || c.task == ended {
		return
	}
	told := c.interrupted || c.past.told || o.lost || c.lost || w.relay.lost[opener] || w.relay.lost[callee]
	for _, p := range w.flying(opener, control) {
		told = told || kindOf(p) == "CANCEL" || kindOf(p) == "FAIL"
	}
	if !o.st.Cut && !w.relay.told || !told {
		w.fail("C05", "the opener's scope ends, and the callee's task runs on")
	}
}

// checkCredit is the conservation of credit for what this side sends: what may
// still be sent, is on its way, waits, or was taken and not yet granted again, is
// the window. A probe makes the first of these -1.
func (w *world) checkCredit(from int) {
	s, r := &w.side[from], &w.side[1-from]
	ok := s.known && r.known && !w.cut && !r.in.deaf && !r.done && !r.in.stopped && !r.past.overran
	if !ok || s.st.Phase == Over || r.st.Phase == Over {
		return
	}
	sum := s.out.room.Messages + len(r.in.queue) + r.in.taken.Messages
	for _, p := range w.flying(from, data) {
		if kindOf(p) == "YIELD" {
			sum++
		}
	}
	for _, p := range w.flying(1-from, control) {
		if kindOf(p) == "CREDIT" {
			sum += int(p.n)
		}
	}
	if sum != s.out.window.Messages {
		w.fail("M06", "credit is lost or invented for what the "+sideNames[from]+" sends")
	}
	if r.in.allowed.Messages+len(r.in.queue)+r.in.taken.Messages != r.in.window.Messages+r.in.unused {
		w.fail("M06", "the "+sideNames[1-from]+"'s account of its window does not add up")
	}
	silent := w.lane[1-from].empty() && w.onward[1-from].empty()
	if silent && s.out.window.Messages > 0 && s.out.window != r.in.window {
		w.fail("M06", "the two ends differ about the window of what the "+sideNames[from]+" sends")
	}
	if s.out.overflow == 0 && s.out.room.Messages < -1-r.in.unused {
		w.fail("M07", "more than one message beyond credit")
	}
}

// crossed reports whether each task waits in Send for the other to receive, which
// they may: the buffers are full, and a program that does so has only itself to
// blame. Anything that ends either task ends it.
func (w *world) crossed() bool {
	for from := range w.side {
		s, r := &w.side[from], &w.side[1-from]
		if s.sending != blocked || s.task != running || !r.in.attached || len(r.in.queue) == 0 {
			return false
		}
	}
	return true
}

// unfinished says what is left although nothing happens any more.
func (w *world) unfinished() string {
	o, c := &w.side[opener], &w.side[callee]
	switch {
	case w.crossed():
		return ""
	case o.task != ended:
		return "the opener's task is in its way: " + o.st.String()
	case c.task != ended && (c.task != absent || !w.cut):
		return "the callee's task is in its way: " + c.st.String()
	case o.known || c.known:
		return "a table still holds the dialog: " + o.st.String() + ", " + c.st.String()
	case o.sending != idle || c.sending != idle:
		return "a Send is blocked (M11)"
	case o.cancelling != none || c.cancelling != none:
		return "a Cancel has not returned (C10, C14)"
	case o.past.answers != 1:
		return "the opener has no answer"
	case !w.cut && c.past.endings != 1:
		return "the callee has not said how it ended"
	case !w.cut && c.past.returned == o.failed:
		return "the outcome is not what the callee sent (C12)"
	case w.relay.known:
		return "the relay still holds the dialog (C15)"
	}
	for from := range w.lane {
		if !w.lane[from].empty() || !w.onward[from].empty() {
			return "there are frames on their way"
		}
	}
	return ""
}
