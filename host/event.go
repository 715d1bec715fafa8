package host

import (
	"context"
	"log/slog"
	"time"

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

// Event is one step in the life of an actor.
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
	// Rung is the step of a teardown that begins, in events from Stopping to Stopping.
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

// log writes the event as a log record.
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

// weight is how much the event matters, and its text in a log.
func (e Event) weight() (slog.Level, string) { //nolint:cyclop // it is a table
	switch {
	case e.Stuck != "":
		return slog.LevelWarn, "a task is stuck"
	case e.Step != "" && e.Reason == unasked.String(): // the signal is the request
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
