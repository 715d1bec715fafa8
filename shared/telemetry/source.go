package telemetry

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"time"

	"github.com/seed-2ba35074/trellis/internal/treepath"
)

// Source is where the records of a tree come together. The root has all of them; what an actor of the
// tree puts into its own is on its way there. It may be used from any goroutine.
type Source interface {
	// Put adds a record, of the actor itself or one below it. It never waits.
	Put(r Record)
	// Watch ranges over the records that a filter lets through: those that are kept, the oldest first,
	// and, if it follows, then every one that comes. A *fault.Lagged says how many of all records are not
	// kept any more, of the past or because the loop was too slow, and the loop goes on. Any other error is
	// the last thing that it gets. The loop ends with ctx, and with the tree.
	Watch(ctx context.Context, f Filter) iter.Seq2[Record, error]
}

// Filter says which records a loop is given: those to which all of it applies. The zero Filter lets those
// through that are at least at level info.
type Filter struct {
	// Actor is a name, or a path: the records of such actors, and of all that is below them.
	Actor string `json:"actor,omitempty"`
	// Level is the lowest one.
	Level slog.Level `json:"level,omitempty"`
	// Trace is the whole id of a trace. What actors do on behalf of one call has one id, whichever of them
	// they are, if whoever has called was in a trace.
	Trace string `json:"trace,omitempty"`
	// Grep is a regular expression that is found in the line which a record is ([Record.String]).
	Grep string `json:"grep,omitempty"`
	// Since is the earliest time, as the actors themselves have told it: their clocks are those of one
	// machine, and records come nearly in the order of their times.
	Since time.Time `json:"since,omitzero"`
	// Follow is whether the loop goes on when it has had all that was there.
	Follow bool `json:"follow,omitempty"`
}

// mostGrep is how long an expression may be: what it costs to read and to use grows with that.
const mostGrep = 256

// Compile gives a function for many records, so that the expression is read once. It gives a function that reports whether the filter lets a record through. The error is that of the
// regular expression.
func (f Filter) Compile() (func(r *Record) bool, error) {
	if len(f.Grep) > mostGrep {
		return nil, fmt.Errorf("expected a regular expression of at most %d bytes, got %d", mostGrep, len(f.Grep))
	}
	grep, err := regexp.Compile(f.Grep)
	if err != nil {
		return nil, fmt.Errorf("expected a regular expression: %w", err)
	}
	return func(r *Record) bool {
		return r.Level >= f.Level && (f.Trace == "" || r.Trace == f.Trace) && !r.Time.Before(f.Since) && f.about(r.Actor) &&
			(f.Grep == "" || grep.MatchString(r.String()))
	}, nil
}

// about reports whether an actor is one of those that the filter names, or below one. It goes up from
// the actor, host by host, since a name may stand anywhere in a path.
func (f *Filter) about(path string) bool {
	for at := path; ; at = treepath.Host(at) {
		if f.Actor == "" || at == f.Actor || at != "" && treepath.Name(at) == f.Actor {
			return true
		}
		if at == "" {
			return false
		}
	}
}

type key struct{}

// With returns a ctx whose nurseries put their records into s.
func With(ctx context.Context, s Source) context.Context { return context.WithValue(ctx, key{}, s) }

// From is the source of a ctx; nil if there is none.
func From(ctx context.Context) Source {
	s, _ := ctx.Value(key{}).(Source)
	return s
}
