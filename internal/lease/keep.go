package lease

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Keep asks for the lease of this process again and again, until stop is closed, and returns then. ask
// sends one request, and returns for how long the answer lets it live from when it was sent; it may take for ever, but not longer than
// its ctx. held is called once, after the first answer: before that, the process has no right to
// do anything. end is called once if there is no answer for two thirds of the term: all that the
// process does must end then. When the term is over, the kernel kills the process, also if it is
// stopped, or the machine has slept.
func Keep(term time.Duration, stop <-chan struct{}, ask func(ctx context.Context) (time.Duration, error), held, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking task.Group
	defer asking.Close()
	defer cancel()
	death := newDeadline()
	h := holder{term: term, asked: clock() - term}
	answers := make(chan time.Duration, 1)
	var given time.Duration
	for e := tick; ; {
		before := h.held
		a := h.step(e, given, clock())
		if a.arm > 0 {
			death.set(a.arm)
		}
		if h.held && !before {
			held()
		}
		if a.end {
			end()
		}
		if a.ask {
			asking.Go(func() {
				given, err := ask(ctx)
				if err != nil { // it is asked again, or the link is over
					given = 0
				}
				answers <- given
			})
		}
		select {
		case given = <-answers:
			if e = answered; given <= 0 {
				e = refused
			}
		case <-time.After(a.wake - clock()):
			e = tick
		case <-stop:
			return
		}
	}
}

// ErrOver is what a request is refused with that comes too late.
var ErrOver = errors.New("the lease is over")

// Owner is the other end: what the owner knows of when the holder is gone. Any goroutine may call its
// methods.
type Owner struct {
	term  time.Duration
	until func() time.Time // when the owner itself must have ended; nil: never

	mu   sync.Mutex
	last time.Time // until when the last answer lets the holder live; zero before the first
	end  time.Time // when it was said that there are no more; zero before

	ended chan struct{} // closed then
}

// NewOwner makes the owner of a lease that was not given yet. until, if not nil, is when all that it owns must have
// ended: no answer reaches beyond that.
func NewOwner(term time.Duration, until func() time.Time) *Owner {
	return &Owner{term: term, until: until, ended: make(chan struct{})}
}

// Term is for how long an answer counts.
func (o *Owner) Term() time.Duration { return o.term }

// Renew takes note of an answer that is about to be given, and says for how long that lets the holder live; or it
// fails with [ErrOver].
func (o *Owner) Renew() (given time.Duration, err error) {
	given = o.term
	if o.until != nil {
		given = min(given, time.Until(o.until())-Margin(o.term))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.end.IsZero() || given <= 0 {
		return 0, ErrOver
	}
	if until := time.Now().Add(given); until.After(o.last) {
		o.last = until
	}
	return given, nil
}

// Given reports whether there was an answer.
func (o *Owner) Given() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.last.IsZero()
}

// End says that no answer will be given any more.
func (o *Owner) End() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stop()
}

func (o *Owner) stop() {
	if o.end.IsZero() {
		o.end = time.Now()
		close(o.ended)
	}
}

// Expired returns true when the holder is certainly gone, since its last term is over; no answer
// is given any more then. It returns false when stop was closed before. Where there was no answer, that
// is a term after End.
func (o *Owner) Expired(stop <-chan struct{}) bool {
	for {
		left, begun := o.left()
		if begun && left <= 0 {
			return true
		}
		ended := o.ended
		if begun {
			ended = nil
		}
		select {
		case <-time.After(left):
		case <-ended:
		case <-stop:
			return false
		}
	}
}

// left is how much of the last term is left; begun is false while there is neither an answer nor an end.
func (o *Owner) left() (left time.Duration, begun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := o.last
	if over.IsZero() {
		if o.end.IsZero() {
			return o.term, false
		}
		over = o.end.Add(o.term)
	}
	left = time.Until(over.Add(Margin(o.term)))
	if left <= 0 {
		o.stop()
	}
	return left, true
}
