package dialog

// openerTask is what open.go does: Scope and runBody, or Call for a Func.
func (sc *scenario) openerTask() []op {
	if sc.kind == Func {
		return []op{must("Call has its answer",
			func(w *world) bool { return w.side[opener].task == running && w.side[opener].done },
			func(w *world) { w.side[opener].task = ended; w.event(opener, DoSucceed, false) })}
	}
	all := []op{
		must("opener's body begins, or need not",
			func(w *world) bool {
				s := &w.side[opener]
				return s.task == waiting && (s.done || s.st.Phase != Opening)
			},
			func(w *world) { w.enter() }),
		must("opener's body returns nil",
			func(w *world) bool { return w.free(opener) },
			func(w *world) { w.leave(DoSucceed, true) }),
		must("opener's scope lets go", // the deferred abandon
			func(w *world) bool {
				s := &w.side[opener]
				return s.task == ended && s.done && s.known && s.st.Phase != Over
			},
			func(w *world) { w.event(opener, DoFail, true) }),
	}
	if sc.kind == Context && sc.waits {
		all = append(all,
			may("opener's body waits for the callee to end",
				func(w *world) bool { s := &w.side[opener]; return w.free(opener) && !s.done && !s.in.attached },
				func(w *world) { w.side[opener].waits = true; w.judge(opener, false) }),
			may("opener's body waits for its ctx",
				func(w *world) bool { s := &w.side[opener]; return w.free(opener) && !s.done && !s.in.attached },
				func(w *world) { w.side[opener].idles = true }),
			must("opener's body has waited",
				func(w *world) bool { s := &w.side[opener]; return (s.waits || s.idles) && (s.done || s.interrupted) },
				func(w *world) { w.side[opener].waits, w.side[opener].idles = false, false }))
	}
	if sc.fails[opener] {
		all = append(all, must("opener's body fails",
			func(w *world) bool { return w.free(opener) },
			func(w *world) { w.leave(DoFail, true) }))
	}
	if sc.goexit {
		all = append(all, may("opener's body calls runtime.Goexit",
			func(w *world) bool { return w.free(opener) },
			func(w *world) { w.leave(DoFail, false) }))
	}
	return all
}

// enter is Dialog.opened. A body begins even if its dialog has failed since Started
// came, for what was sent before can be received; its ctx is cancelled then.
func (w *world) enter() {
	s := &w.side[opener]
	s.task = ended
	if s.began && (!w.sc.rules.skipsBody || s.st.Phase == Open) {
		s.task = running
	}
}

// leave is the end of runBody; Goexit passes by the closing of the stream.
func (w *world) leave(e Event, closes bool) {
	s := &w.side[opener]
	if closes {
		if e == DoSucceed {
			w.judge(opener, true)
		}
		w.stop(opener, true)
	}
	s.task = ended
	w.event(opener, e, e == DoFail)
}

// calleeTask is what Table.run and a handler do.
func (sc *scenario) calleeTask() []op {
	all := []op{
		must("callee's task is scheduled",
			func(w *world) bool { return w.side[callee].canBegin(&w.sc.rules) },
			func(w *world) { w.run() }),
		must("callee's task returns a value",
			func(w *world) bool { return w.free(callee) },
			func(w *world) { w.finish(DoSucceed, false) }),
	}
	if sc.fails[callee] {
		all = append(all, must("callee's task fails",
			func(w *world) bool { return w.free(callee) },
			func(w *world) { w.finish(DoFail, false) }))
	}
	if sc.large {
		all = append(all, must("callee's task returns a large value",
			func(w *world) bool { return w.free(callee) },
			func(w *world) { w.finish(DoSucceed, true) }))
	}
	if sc.kind == Context {
		all = append(all, sc.started(false))
		if sc.large {
			all = append(all, sc.started(true))
		}
	}
	return all
}

func (sc *scenario) started(large bool) op {
	name := "callee calls Started"
	if large {
		name += " with a large value"
	}
	return may(name,
		func(w *world) bool { return w.free(callee) && w.side[callee].used.startedCalls < max(sc.starts, 1) },
		func(w *world) {
			w.side[callee].used.startedCalls++
			w.big = large
			w.event(callee, DoStarted, true)
			w.big = false
		})
}

// canBegin is where Table.run goes on: the arguments are there, or nobody wants them.
func (s *side) canBegin(rules *glue) bool {
	return s.task == waiting && (!s.awaits || s.st.Phase == Ending || rules.eager)
}

// run is the first act of Table.run.
func (w *world) run() {
	s := &w.side[callee]
	if s.st.Phase == Ending {
		w.finish(DoFail, false)
		return
	}
	if s.past.told {
		w.fail("C14", "a task begins although it was told to end before")
	}
	if s.awaits {
		w.fail("C01", "a task begins before its arguments have come")
	}
	s.task = running
}

func (w *world) finish(e Event, large bool) {
	w.side[callee].task = ended
	w.big = large
	w.event(callee, e, e == DoFail)
	w.big = false
}
