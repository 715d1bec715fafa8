package host

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// logEvent writes an event as a log record, and keeps it among the records of the tree. It is
// called without a lock, as the handler of the log is the application's code. Empty fields are
// left out, and so is an error whose text is the reason already.
func (e *environment) logEvent(event *directory.Event) {
	level, text := weightOf(event)
	attrs := fieldsOf(event)
	r := records.Of(event.Time, level, text, attrs)
	r.Actor = event.Path
	e.records.Put(r)
	e.queue.Logger().LogAttrs(context.Background(), level, text, append([]slog.Attr{slog.String(actorKey, event.Actor.String())}, attrs...)...)
}

func fieldsOf(e *directory.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("state", string(e.To))}
	for _, a := range []struct{ key, value string }{{"cause", string(e.Cause)}, {"step", e.Step}, {"reason", e.Reason}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Actor.PID != 0 && (e.To == directory.Ready || e.To == directory.Standby) {
		attrs = append(attrs, slog.Int("pid", e.Actor.PID))
	}
	if e.Memory > 0 {
		attrs = append(attrs, slog.String("memory", config.Size(e.Memory).String()))
	}
	if e.To == directory.Reaped {
		attrs = append(attrs, usageOf(e.Used)...)
	}
	if e.Pause > 0 {
		attrs = append(attrs, slog.String("pause", e.Pause.String()))
	}
	if e.Err != nil && fault.Line(e.Err) != e.Reason {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	return attrs
}

// usageOf is what a process has used, as far as that is known.
func usageOf(u directory.Usage) (attrs []slog.Attr) {
	if u.CPU > 0 {
		attrs = append(attrs, slog.String("cpu", u.CPU.Round(time.Millisecond).String()))
	}
	if u.PeakRSS > 0 {
		attrs = append(attrs, slog.String("peak_memory", config.Size(u.PeakRSS).String()))
	}
	if u.OOM {
		attrs = append(attrs, slog.Bool("oom", true))
	}
	return attrs
}

// cannotBeAsked is the reason of a signal that is a foreign program's request to end.
const cannotBeAsked = "it cannot be asked"

// weightOf is how much an event matters, and its text in a log. What needs attention is a
// warning or an error, even if a restart mends it; what the application has asked for
// itself, and the ordinary way of an actor, is at level debug. A restart that has worked
// is at level info, so that whoever has seen the warning before it sees how it went on.
func weightOf(e *directory.Event) (slog.Level, string) { //nolint:cyclop // it is a table
	switch {
	case e.Stuck != "":
		return slog.LevelWarn, "a task is stuck"
	case e.Refused != "":
		return slog.LevelWarn, "a call was refused"
	case e.Step != "" && e.Reason == cannotBeAsked: // the signal is the request
		return slog.LevelDebug, "a signal asks the actor to end"
	case e.Step != "":
		return slog.LevelWarn, "teardown goes on"
	case e.To == directory.Standby:
		return slog.LevelDebug, "a spare is ready"
	case e.To == directory.Gone && e.Err != nil: // of an actor, its failure was told before
		return slog.LevelWarn, "a spare has failed"
	case e.To == directory.Starting && e.Err != nil:
		return slog.LevelWarn, "a spare is not used"
	case e.To == directory.Reaped && e.Cause == directory.Crashed:
		return slog.LevelError, "actor died"
	case e.To == directory.Stopping && e.Cause == directory.Transport:
		return slog.LevelError, "link lost"
	case e.To == directory.Stopping && e.Cause == directory.Sick:
		return slog.LevelError, "actor is unhealthy and is ended"
	case e.To == directory.Stopping && e.Cause == directory.Stuck:
		return slog.LevelError, "actor is stuck and is ended"
	case e.To == directory.Unhealthy:
		return slog.LevelWarn, "a health check failed"
	case e.To == directory.Ready && e.Reason != "": // restarted, or healthy again
		return slog.LevelInfo, "actor is ready"
	case e.To == directory.Waiting && e.Pause > 0:
		return slog.LevelWarn, "actor will be restarted"
	}
	return slog.LevelDebug, "actor is " + string(e.To)
}

// WithEvents returns a ctx whose nurseries tell their events to Events, from the
// first one on. Without it the outermost nursery's ctx is the first that has any. A ctx from
// within a nursery or a plugin has them already, and is returned as it is.
func WithEvents(ctx context.Context) context.Context {
	if directory.From(ctx) != nil {
		return ctx
	}
	return directory.With(ctx, directory.NewMemory("", nil))
}

// Events ranges over what happens to the actors of ctx's nurseries, and to all that these
// host: first what is kept (of each child, with all below it, the last 256 events; the last
// one of each actor that is there), then every one that comes. It ends with ctx; on a ctx
// from within a nursery, also when the outermost nursery has ended; in a plugin, when the
// plugin has. A *fault.Lagged says how many events are missing, and the loop goes on: it
// comes first if not all of the past is kept, and later if a follower was more than 4096
// events behind, before the last event of each actor for which one was lost.
//
// ctx is from WithEvents or from within a nursery or a plugin; others have no events.
func Events(ctx context.Context) iter.Seq2[directory.Event, error] {
	if r := directory.From(ctx); r != nil {
		return r.Events(ctx)
	}
	return func(func(directory.Event, error) bool) {}
}
