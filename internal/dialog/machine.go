package dialog

import "strings"

// Phase is where one side of a dialog stands. The opener goes through the first
// seven, the callee through the next three; both end in Over.
type Phase uint8

// "Task" is the code on this side: the opener's scope function, the callee's
// handler. "Peer" is the task on the other side.
const (
	Opening  Phase = iota // opener: Start is sent; its task has not begun
	Open                  // opener: both run
	Leaving               // opener: task ended well, peer still runs
	Stopping              // opener: a side has been told to end; both run
	Draining              // opener: a side has been told to end; only the peer runs
	Settled               // opener: peer has ended, task still runs
	Starting              // callee: task runs and has not called Started
	Live                  // callee: both run
	Ending                // callee: task has been told to end, and runs
	Over                  // both have ended
	phases
)

var phaseNames = [phases]string{"Opening", "Open", "Leaving", "Stopping", "Draining", "Settled", "Starting", "Live", "Ending", "Over"}

func (p Phase) String() string { return phaseNames[p] }

// Event is what can happen to one side: a frame came, or something happened here. Messages of the
// stream, its credit, and the arguments are not events: they change accounts and not the phase.
type Event uint8

// The first group are frames from the peer, the second what happens on this side.
const (
	GotStarted   Event = iota // callee has called Started
	GotReturn                 // callee's task ended with a value
	GotError                  // callee's task ended with a failure
	GotFail                   // the peer says that the dialog has failed
	GotCancel                 // the peer asks this side's task to end
	GotCancelAck              // the peer's task has ended, as asked

	DoStarted // callee's task calls Started
	DoSucceed // the task ends well
	DoFail    // the task ends with a failure
	DoCancel  // somebody here asks the peer's task to end
	DoBreak   // the runtime here finds the dialog broken: overrun, bad message
	DoAbort   // this side's caller or actor wants its task to end
	Timeout   // a cancel was not answered in time
	Overdue   // opener: the deadline and the cancel bound after it are over, and the peer's task is not
	Lost      // the link is gone
	events
)

var eventNames = [events]string{
	"GotStarted", "GotReturn", "GotError", "GotFail", "GotCancel", "GotCancelAck",
	"DoStarted", "DoSucceed", "DoFail", "DoCancel", "DoBreak", "DoAbort", "Timeout", "Overdue", "Lost",
}

func (e Event) String() string { return eventNames[e] }

// Action is a set of things to do. Frames are sent in the order of the bits, which is part of the
// protocol: a Fail before the acknowledgement, and that before an ending.
type Action uint16

// The first six are frames to the peer.
const (
	SendStarted   Action = 1 << iota // the context is open
	SendFail                         // tell the peer that the dialog has failed, and why; at most once
	SendCancel                       // ask the peer's task to end; at most once
	SendCancelAck                    // the peer's Cancel is done
	SendReturn                       // the task's value
	SendError                        // the task's failure, or why it was told to end
	Interrupt                        // cancel the task's ctx, with the event's error as cause
	Begin                            // let the opener's task begin
	Answer                           // the outcome is known: wake whoever waits for it
	Acked                            // the local Cancel is done
	Refuse                           // the call was wrong; nothing else happens
	Violate                          // the peer broke the protocol
)

// State is one side of a dialog, without what its messages say. The zero value
// is an opener that has sent Start; a callee begins in Starting, or in Live if its
// endpoint has no Started.
type State struct {
	Phase      Phase
	FailSent   bool // SendFail was done
	CancelSent bool // SendCancel was done and not answered
	AckOwed    bool // the peer's Cancel waits for the task to end
	Cut        bool // nobody listens any more: the link is lost or the dialog was cut
}

// rule is one cell of the table: what to do, and where it leads.
type rule struct {
	next Phase
	do   Action
}

// rules are a protocol. A cell that is missing means: ignore, stay.
type rules [phases]map[Event]rule

// table is the protocol. The two kinds of end, frames that cross, and cancels by either side meet
// here and nowhere else. The tables in docs/protocol are made from it, by a test. An opener that
// has left (Leaving, Draining) acknowledges a Cancel at once, because its task has ended, and so
// does one in Opening, whose task then never begins. A callee says Fail only about what it has
// found itself; why it was told to end, its opener learns from its Error.
var table = rules{
	Opening: {
		GotStarted: {Open, Begin},
		GotReturn:  {Over, Violate | Answer | Interrupt}, // it has ended, and will never start
		GotError:   {Over, Answer | Interrupt},
		GotFail:    {Draining, Interrupt},
		GotCancel:  {Draining, Interrupt | SendFail | SendCancelAck},
		DoAbort:    {Draining, SendFail | Interrupt},
		DoBreak:    {Draining, SendFail | Interrupt},
		Lost:       {Over, Answer | Interrupt},
	},
	Open: {
		GotStarted: {Open, Violate},
		GotReturn:  {Settled, Answer},
		GotError:   {Settled, Answer | Interrupt},
		GotFail:    {Stopping, Interrupt},
		GotCancel:  {Stopping, Interrupt},
		DoSucceed:  {Leaving, 0},
		DoFail:     {Draining, SendFail},
		DoCancel:   {Stopping, SendCancel},
		DoBreak:    {Stopping, SendFail | Interrupt},
		DoAbort:    {Stopping, SendFail | Interrupt},
		Lost:       {Settled, Answer | Interrupt},
	},
	Leaving: {
		GotStarted: {Leaving, Violate},
		GotReturn:  {Over, Answer},
		GotError:   {Over, Answer},
		GotFail:    {Draining, 0},
		GotCancel:  {Leaving, SendCancelAck},
		DoCancel:   {Draining, SendCancel},
		DoBreak:    {Draining, SendFail | Interrupt}, // what the task left behind may use its ctx
		DoAbort:    {Draining, SendFail | Interrupt},
		Lost:       {Over, Answer},
	},
	Stopping: {
		GotStarted: {Stopping, Violate},
		GotReturn:  {Settled, Answer | Interrupt},
		GotError:   {Settled, Answer | Interrupt},
		GotFail:    {Stopping, Interrupt},
		GotCancel:  {Stopping, Interrupt},
		DoSucceed:  {Draining, 0},
		DoFail:     {Draining, SendFail},
		DoCancel:   {Stopping, SendCancel},
		DoBreak:    {Stopping, SendFail | Interrupt},
		DoAbort:    {Stopping, SendFail | Interrupt},
		Timeout:    {Settled, Answer | Interrupt},
		Overdue:    {Settled, Answer | Interrupt},
		Lost:       {Settled, Answer | Interrupt},
	},
	Draining: {
		GotReturn: {Over, Answer},
		GotError:  {Over, Answer},
		GotCancel: {Draining, SendCancelAck},
		DoCancel:  {Draining, SendCancel},
		DoAbort:   {Draining, SendFail | Interrupt},
		DoBreak:   {Draining, SendFail | Interrupt},
		Timeout:   {Over, Answer},
		Overdue:   {Over, Answer},
		Lost:      {Over, Answer},
	},
	Settled: {
		DoSucceed: {Over, 0},
		DoFail:    {Over, 0},
		DoCancel:  {Settled, Interrupt},
		DoAbort:   {Settled, Interrupt},
		DoBreak:   {Settled, Interrupt},
	},
	Starting: {
		DoStarted: {Live, SendStarted},
		DoSucceed: {Over, SendError},
		DoFail:    {Over, SendError},
		DoCancel:  {Starting, SendCancel},
		DoBreak:   {Ending, SendFail | Interrupt},
		DoAbort:   {Ending, Interrupt},
		GotFail:   {Ending, Interrupt},
		GotCancel: {Ending, Interrupt},
		Timeout:   {Ending, SendFail | Interrupt},
		Lost:      {Ending, Interrupt},
	},
	Live: {
		DoStarted: {Ending, SendFail | Interrupt | Refuse},
		DoSucceed: {Over, SendReturn},
		DoFail:    {Over, SendError},
		DoCancel:  {Live, SendCancel},
		DoBreak:   {Ending, SendFail | Interrupt},
		DoAbort:   {Ending, Interrupt},
		GotFail:   {Ending, Interrupt},
		GotCancel: {Ending, Interrupt},
		Timeout:   {Ending, SendFail | Interrupt},
		Lost:      {Ending, Interrupt},
	},
	Ending: {
		DoStarted: {Ending, Refuse},
		DoSucceed: {Over, SendError}, // a value that comes after the cancel is dropped
		DoFail:    {Over, SendError},
		DoCancel:  {Ending, SendCancel},
		DoBreak:   {Ending, SendFail},
		GotFail:   {Ending, Interrupt},
		GotCancel: {Ending, Interrupt},
		Timeout:   {Ending, SendFail},
		Lost:      {Ending, Interrupt},
	},
	Over: {
		DoStarted: {Over, Refuse},
	},
}

// Step is the whole protocol of one side: a pure function. What the table says
// is narrowed by what has been said before: nothing is sent twice, and nothing at
// all to a peer that is gone.
func Step(s State, e Event) (State, Action) { return table.step(s, e) }

func (t *rules) step(s State, e Event) (State, Action) {
	if e == Timeout && !s.CancelSent {
		return s, 0 // answered a moment ago
	}
	r, known := t[s.Phase][e]
	if e == Overdue && !known {
		return s, 0 // the peer's task has ended a moment ago, or was never told to
	}
	if !known {
		r.next = s.Phase
	}
	do := r.do
	if e == Lost || e == Overdue || e == Timeout && !s.isCallee() {
		s.Cut = true
	}
	s, do = s.ack(e, s.narrow(do))
	do = s.narrow(do)
	s.FailSent = s.FailSent || do&SendFail != 0
	s.CancelSent = s.CancelSent || do&SendCancel != 0
	s.Phase = r.next
	return s, do
}

// narrow leaves out what was said before, and everything that nobody would hear. step calls it
// twice: ack must see whether a Cancel is really sent, and may itself add a frame.
func (s State) narrow(do Action) Action {
	if s.FailSent {
		do &^= SendFail
	}
	if s.CancelSent {
		do &^= SendCancel
	}
	if s.Cut {
		do &^= SendStarted | SendFail | SendCancel | SendCancelAck | SendReturn | SendError
	}
	return do
}

// ack keeps the two promises about cancels: the peer's is acknowledged when this side's task has
// ended, and ours is done when it is acknowledged or cannot be. The callee's ending stands for an
// acknowledgement, as a Cancel that meets it on its way gets no other answer. The acknowledgement
// that a callee owes goes out before its ending, after which the opener forgets the dialog.
func (s State) ack(e Event, do Action) (State, Action) {
	switch e {
	case GotCancel:
		s.AckOwed = s.AckOwed || do&Interrupt != 0 && do&SendCancelAck == 0
	case DoSucceed, DoFail:
		if s.AckOwed {
			s.AckOwed = false
			do |= SendCancelAck
		}
	case DoCancel:
		if do&SendCancel == 0 && !s.CancelSent {
			do |= Acked // the peer's task has ended already, or cannot be reached
		}
	case GotCancelAck, GotReturn, GotError, Lost, Timeout, Overdue:
		if s.CancelSent {
			s.CancelSent = false
			do |= Acked
		}
	}
	return s, do
}

func (s State) isCallee() bool { return s.Phase >= Starting && s.Phase <= Ending }

func (s State) String() string {
	parts := []string{s.Phase.String()}
	for _, f := range []struct {
		on   bool
		name string
	}{{s.FailSent, "fail-sent"}, {s.CancelSent, "cancel-sent"}, {s.AckOwed, "ack-owed"}, {s.Cut, "cut"}} {
		if f.on {
			parts = append(parts, f.name)
		}
	}
	return strings.Join(parts, "+")
}
