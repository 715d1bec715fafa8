package lease

import "time"

// Default is the term where none is given.
const Default = 5 * time.Second

// Shortest is the shortest term that is allowed: below it, a busy machine would end actors
// that are well.
const Shortest = 200 * time.Millisecond

// Margin is how much longer than a term an owner waits: clocks that go differently by 1 % at
// each end, and the time that the kernel takes to end a process.
func Margin(term time.Duration) time.Duration { return term/50 + 100*time.Millisecond }

// holder is the state of a holder: a pure step function. Times are those of one clock that
// never goes back and also counts while the machine sleeps.
type holder struct {
	term    time.Duration
	granted time.Duration // when that request was sent which was answered last
	given   time.Duration // for how long from then, a term at most
	held    bool          // there was an answer
	asked   time.Duration // when the request was sent that is under way, or the last one
	asking  bool          // one is under way
	ended   bool          // the tasks were told to end
}

// event is what happens to a holder.
type event int

const (
	tick     event = iota // nothing but that time passes
	answered              // the request that is under way was answered
	refused               // it has failed
)

// action is what a holder does next.
type action struct {
	ask  bool          // send a request
	arm  time.Duration // the process must be dead then; 0: as it was
	end  bool          // tell the tasks to end: there is no answer
	wake time.Duration // when to look again at the latest
}

// parts of a term: it is asked for again after a third of it, and the tasks are told to end after
// two thirds without an answer.
const parts = 3

// step is what follows from an event at a time; given is for how long an answer lets it live. A request that has failed is sent again a tenth of
// that third later.
func (h *holder) step(e event, given, now time.Duration) (a action) {
	third := h.term / parts
	switch {
	case e == answered && h.asking:
		h.asking, h.granted, h.given, h.held = false, h.asked, min(given, h.term), true
		a.arm = h.granted + h.given
	case e == refused && h.asking:
		h.asking = false
	}
	due := h.asked + third
	if h.held {
		due = h.asked + h.given/parts
	}
	if !h.asking && h.granted != h.asked {
		due = h.asked + third/10
	}
	if !h.asking && now >= due {
		h.asking, h.asked, a.ask = true, now, true
		due = now + third
	}
	if end := h.granted + 2*h.given/parts; h.held && !h.ended {
		if now >= end {
			h.ended, a.end = true, true
		}
		due = min(due, end)
	}
	if a.wake = due; a.wake <= now {
		a.wake = now + third
	}
	return a
}
