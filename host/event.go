package host

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/hub"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// State is what an actor is doing.
type State string

// The states.
const (
	Waiting   State = "waiting"   // no process: for what it needs, or its pause before a restart
	Starting  State = "starting"  // its process is coming up
	Ready     State = "ready"     // it can be called
	Unhealthy State = "unhealthy" // it can be called, and its last health check failed
	Stopping  State = "stopping"  // its process is being ended
	Reaped    State = "reaped"    // its process is gone
	Gone      State = "gone"      // it is over; there will be no further process
)

// Cause sorts why an actor ended.
type Cause string

// The causes.
const (
	Requested Cause = "requested" // somebody ended it: its host, a strategy, its nursery
	Finished  Cause = "finished"  // by itself, and well
	Crashed   Cause = "crashed"   // its process died, or it failed
	Transport Cause = "transport" // its link broke while its process lived
	Sick      Cause = "unhealthy" // its health checks failed
	Stuck     Cause = "stuck"     // a task of it was told to end, and went on for too long
	NotUp     Cause = "start"     // it did not come up
)

// Event is one step in the life of an actor. It is told in the moment in which the step is
// made: what [Portal.State] says, and what calls find, is what the last event has told.
type Event struct {
	Time  time.Time
	Actor actor.ID // the process; between two processes the last one; before the first that one, without a pid
	From  State    // empty: the actor is new
	To    State
	Cause Cause // for Stopping and Reaped
	// Reason says in one line why.
	Reason string
	// Err is the failure behind it, nil if there is none.
	Err error
	// Step is the step of a teardown that begins, "SIGTERM" or "SIGKILL", in events from Stopping to Stopping.
	Step string
	// Stuck is the endpoint of a task that was told to end and has not in time, in an
	// event that changes no state.
	Stuck string
	// Pause is how long the actor waits before its restart, in events to Waiting.
	Pause time.Duration
}

// String is the event in one line.
func (e Event) String() string {
	text := e.Actor.String() + " " + string(e.To)
	if e.Step != "" {
		text += ", " + e.Step
	}
	if e.Cause != "" {
		text += " (" + string(e.Cause) + ")"
	}
	if e.Stuck != "" {
		text += ", a task is stuck"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// log writes the event as a log record. It is called without a lock, as the handler of the
// log is the application's code. Empty fields are left out, and so is an error whose text
// is the reason already.
func (e Event) log(log *slog.Logger) {
	level, text := e.weight()
	attrs := []slog.Attr{slog.String("actor", e.Actor.String()), slog.String("state", string(e.To))}
	for _, a := range []struct{ key, value string }{{"cause", string(e.Cause)}, {"step", e.Step}, {"reason", e.Reason}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Actor.PID != 0 && e.To == Ready {
		attrs = append(attrs, slog.Int("pid", e.Actor.PID))
	}
	if e.Pause > 0 {
		attrs = append(attrs, slog.String("pause", e.Pause.String()))
	}
	if e.Err != nil && fault.Line(e.Err) != e.Reason {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	log.LogAttrs(context.Background(), level, text, attrs...)
}

// cannotBeAsked is the reason of a signal that is a foreign program's request to end.
const cannotBeAsked = "it cannot be asked"

// weight is how much the event matters, and its text in a log. What needs attention is a
// warning or an error, even if a restart mends it; what the application has asked for
// itself, and the ordinary way of an actor, is at level debug. A restart that has worked
// is at level info, so that whoever has seen the warning before it sees how it went on.
func (e Event) weight() (slog.Level, string) { //nolint:cyclop // it is a table
	switch {
	case e.Stuck != "":
		return slog.LevelWarn, "a task is stuck"
	case e.Step != "" && e.Reason == cannotBeAsked: // the signal is the request
		return slog.LevelDebug, "a signal asks the actor to end"
	case e.Step != "":
		return slog.LevelWarn, "teardown goes on"
	case e.To == Reaped && e.Cause == Crashed:
		return slog.LevelError, "actor died"
	case e.To == Stopping && e.Cause == Transport:
		return slog.LevelError, "link lost"
	case e.To == Stopping && e.Cause == Sick:
		return slog.LevelError, "actor is unhealthy and is ended"
	case e.To == Stopping && e.Cause == Stuck:
		return slog.LevelError, "actor is stuck and is ended"
	case e.To == Unhealthy:
		return slog.LevelWarn, "a health check failed"
	case e.To == Ready && e.Reason != "": // restarted, or healthy again
		return slog.LevelInfo, "actor is ready"
	case e.To == Waiting && e.Pause > 0:
		return slog.LevelWarn, "actor will be restarted"
	}
	return slog.LevelDebug, "actor is " + string(e.To)
}

// Bounds of what is remembered of events.
const (
	keptOfEach  = 256  // events of one actor
	keptGone    = 64   // actors that are over
	behindLimit = 4096 // events that a follower may be behind
)

// eventLog keeps the last events of each actor, and passes every event on to those who
// follow. It owns no goroutine. The outermost nursery of a ctx, or [WithEvents], makes it;
// nurseries inside share it, and it ends with the outermost one ([eventLog.finish]).
//
// mu guards all fields but hub, and every history that is in all. It is taken under the
// locks of nurseries, and takes only the hub's own lock itself.
//
// A history stays where its child has it, and all has pointers to them: what is kept of an
// actor needs no name, which several actors may share. Histories of actors that are over
// are let go of one by one, so that a nursery which starts actors for ever does not keep
// them all.
type eventLog struct {
	hub *hub.Hub[Event]

	mu   sync.Mutex
	next int
	all  map[*history]struct{}
	gone []*history // of actors that are over, the oldest first
}

// history are the last events of one actor, each with its place among all, which
// [eventLog.follow] merges the histories by: times may be equal. The mutex of the log
// guards it.
type history []numberedEvent

type numberedEvent struct {
	n int
	e Event
}

func newEventLog() *eventLog {
	return &eventLog{hub: hub.New[Event](), all: map[*history]struct{}{}}
}

// add records an event of the actor whose history h is, and passes it on. It never waits,
// as it is called under a nursery's lock: a follower that is too far behind loses events
// instead.
func (l *eventLog) add(h *history, e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.all[h] = struct{}{}
	*h = append(*h, numberedEvent{l.next, e})
	if more := len(*h) - keptOfEach; more > 0 {
		*h = slices.Delete(*h, 0, more)
	}
	if e.To == Gone {
		l.gone = append(l.gone, h)
	}
	if len(l.gone) > keptGone {
		delete(l.all, l.gone[0])
		l.gone = slices.Delete(l.gone, 0, 1)
	}
	l.hub.Put(e)
}

// follow returns what is kept, in order, and a cursor for all that comes after. Both are
// taken under the lock under which add puts its event into the history and the hub: no
// event is missed between the two, and none is given twice.
func (l *eventLog) follow() ([]numberedEvent, *hub.Cursor[Event]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []numberedEvent
	for h := range l.all {
		kept = append(kept, *h...)
	}
	slices.SortFunc(kept, func(a, b numberedEvent) int { return cmp.Compare(a.n, b.n) })
	return kept, l.hub.Subscribe(behindLimit)
}

type eventLogKey struct{}

// WithEvents returns a ctx whose nurseries tell their events to Events, from the
// first one on. Without it the outermost nursery's ctx is the first that has any.
func WithEvents(ctx context.Context) context.Context {
	return context.WithValue(ctx, eventLogKey{}, newEventLog())
}

// Events ranges over what happens to the actors of ctx's nurseries in this
// process: first the last events of each actor (at most 256), then every one that
// comes. It ends with ctx; on a ctx from within a nursery, also when the outermost
// nursery has ended. A follower that
// is more than 4096 events behind gets a *fault.Lagged, and goes on.
//
// ctx is from WithEvents or from within a nursery; others have no events.
func Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		c, ok := ctx.Value(eventLogKey{}).(*eventLog)
		if !ok {
			return
		}
		past, cursor := c.follow()
		defer cursor.Leave()
		for _, p := range past {
			if !yield(p.e, nil) {
				return
			}
		}
		for {
			e, err := cursor.Next(ctx)
			if _, lagged := errors.AsType[*fault.Lagged](err); err != nil && !lagged || !yield(e, err) {
				return
			}
		}
	}
}

// finish ends all followers, once they have had what was passed on before. Events of
// actors come no more: the outermost nursery calls it when all of its children are gone.
func (l *eventLog) finish() { l.hub.Finish(io.EOF) }
