package telemetry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"time"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/treepath"
)

// Source is where the records and spans of a tree come together. The root has all of them;
// what an actor of the tree puts into its own is on its way there. It may be used from any
// goroutine.
type Source interface {
	// Put adds a record, of the actor itself or one below it. It never waits.
	Put(r Record)
	// Watch ranges over the records that a filter lets through: those that are kept, the
	// oldest first, and, if it follows, then every one that comes. A *fault.Lagged says how
	// many of all records are not kept any more, of the past or because the loop was too slow,
	// and the loop goes on. Any other error is the last thing that it gets. The loop ends with
	// ctx, and with the tree.
	Watch(ctx context.Context, f Filter) iter.Seq2[Record, error]
	// KeepsSpans reports whether spans are kept at all. If not, none are made, and calls cost
	// nothing for it.
	KeepsSpans() bool
	// PutSpans adds spans that have ended, and are not the caller's any more, behind so many
	// that were lost. It never waits.
	PutSpans(lost int, spans ...*Span)
	// WatchSpans is Watch for spans, which come in the order in which they ended, or were
	// heard of. If none are kept, the error is [ErrNoSpans].
	WatchSpans(ctx context.Context, f Filter) iter.Seq2[Span, error]
}

// ErrNoSpans is what a loop over spans gets where none are kept.
var ErrNoSpans = errors.New("this host keeps no spans: set telemetry.spans in its config, such as to 20000, or host.Options.Telemetry")

// Filter says which records or spans a loop is given: those to which all of it applies. The
// zero Filter lets those through that are at least at level info, and all spans.
type Filter struct {
	// Actor is a name, or a path: what such actors say and do, and all that are below them.
	Actor string `json:"actor,omitempty"`
	// Level is the lowest one. A span that has failed is an error, and others are at level info.
	Level slog.Level `json:"level,omitempty"`
	// Trace is the whole id of a trace. What actors do on behalf of one call has one id,
	// whichever of them they are, if whoever has called was in a trace.
	Trace string `json:"trace,omitempty"`
	// Grep is a regular expression that is found in the line which a record or a span is
	// ([Record.String]).
	Grep string `json:"grep,omitempty"`
	// Since is the earliest time, of a span that of its end, as the actors themselves have
	// told it: their clocks are those of one machine, and records come nearly in the order of
	// their times.
	Since time.Time `json:"since,omitzero"`
	// Follow is whether the loop goes on when it has had all that was there.
	Follow bool `json:"follow,omitempty"`
}

// mostGrep is how long an expression may be: what it costs to read and to use grows with that.
const mostGrep = 256

// Compile gives a function for many records, so that the expression is read once. It reports
// whether the filter lets a record through. The error is that of the regular expression.
func (f Filter) Compile() (func(r *Record) bool, error) {
	passes, err := f.compile()
	return func(r *Record) bool { return passes(r.Level, r.Trace, r.Time, r.Actor, r.String) }, err
}

// CompileSpans is Compile for spans.
func (f Filter) CompileSpans() (func(s *Span) bool, error) {
	passes, err := f.compile()
	return func(s *Span) bool { return passes(s.level(), s.Trace, s.Time.Add(s.Duration), s.Actor, s.String) }, err
}

func (f Filter) compile() (func(level slog.Level, trace string, at time.Time, actor string, line func() string) bool, error) {
	if len(f.Grep) > mostGrep {
		return nil, fmt.Errorf("expected a regular expression of at most %d bytes, got %d", mostGrep, len(f.Grep))
	}
	grep, err := regexp.Compile(f.Grep)
	if err != nil {
		return nil, fmt.Errorf("expected a regular expression: %w", err)
	}
	return func(level slog.Level, trace string, at time.Time, actor string, line func() string) bool {
		return level >= f.Level && (f.Trace == "" || trace == f.Trace) && !at.Before(f.Since) && treepath.Concerns(actor, f.Actor) &&
			(f.Grep == "" || grep.MatchString(line()))
	}, nil
}

// With returns a ctx whose nurseries put their records and spans into s.
func With(ctx context.Context, s Source) context.Context { return ctxvalue.With(ctx, s) }

// From is the source of a ctx; nil if there is none.
func From(ctx context.Context) Source { return ctxvalue.Of[Source](ctx) }
