package sdk

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/records"
)

// traced adds to a record where it belongs: the ids of the span in the ctx that it is logged with, which are
// fields of the record itself, whatever groups the logger has. Like any handler it may be used from any
// goroutine, and is not changed.
type traced struct {
	slog.Handler                                   // with all that the logger has added
	whole        slog.Handler                      // without that
	added        func(h slog.Handler) slog.Handler // adds it
}

func newTraced(h slog.Handler) slog.Handler {
	return &traced{h, h, func(h slog.Handler) slog.Handler { return h }}
}

// Handle adds the ids to a record that has a span. They would stand inside the groups of the logger if they were
// added to the record; so the handler is made once more, from the one that has no groups yet. That is slow,
// and only for records that are in a trace.
func (t *traced) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return t.Handler.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String(records.TraceKey, span.TraceID().String()), slog.String(records.SpanKey, span.SpanID().String())}
	return t.added(t.whole.WithAttrs(ids)).Handle(ctx, r)
}

// WithAttrs adds attributes to all later records.
func (t *traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	return t.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup puts all later attributes below a name.
func (t *traced) WithGroup(name string) slog.Handler {
	return t.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (t *traced) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return &traced{add(t.Handler), t.whole, func(h slog.Handler) slog.Handler { return add(t.added(h)) }}
}
