package host

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/callers"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// mayCall is why a caller may not call an endpoint of the actor; nil if it may.
func (i *incarnation) mayCall(c callers.Caller, endpoint string) error {
	var rule callers.Rule
	if n := slices.IndexFunc(i.endpoints, func(e *wire.Endpoint) bool { return e.Name == endpoint }); n >= 0 {
		rule = i.endpoints[n].Callers
	}
	return i.refuse(c, callers.Refusal(c, i.hosted.Path(), endpoint, rule, i.spec.Callers))
}

// accept finds the task for what the actor calls in its host. It runs on the link's reader.
func (i *incarnation) accept(start *wire.Start) (dialog.Task, error) {
	c, host := callers.Caller{Path: i.hosted.Path(), Joined: i.joined()}, i.env.registry.Path()
	if start.Opener != nil { // the actor has relayed it
		c = callers.Caller{Path: start.Opener.Path, Joined: start.Opener.Joined}
	}
	if err := i.refuse(c, callers.Refusal(c, host, start.Endpoint, i.env.exposed.Callers(start.Endpoint), nil)); err != nil {
		return nil, err
	}
	return i.env.exposed.Accept(start)
}

// refuse makes the error of a refusal, if there is one, and tells of it: as an event of the actor
// that was called, or of the one that has called its host.
func (i *incarnation) refuse(c callers.Caller, why string) error {
	if why == "" {
		return nil
	}
	if more, tell := i.refusals.next(time.Now()); tell {
		reason := why
		if more > 0 {
			reason += fmt.Sprintf("; %d more calls were refused before this one", more)
		}
		i.owner.note(directory.Event{Refused: c.Path, Reason: reason})
	}
	return fmt.Errorf("%w: %s", fault.ErrNotAllowed, why)
}

// limiter lets one thing in a second be told, so that whoever makes it happen again and
// again, such as a call that is refused, does not push others out. mu guards the rest.
type limiter struct {
	mu   sync.Mutex
	last time.Time // when one was told
	more int       // have happened since
}

// next takes note of one, and reports whether it is told, and how many before it were not.
func (l *limiter) next(now time.Time) (more int, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < time.Second {
		l.more++
		return 0, false
	}
	more, l.last, l.more = l.more, now, 0
	return more, true
}
