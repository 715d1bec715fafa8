package sdk

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/seed-2ba35074/trellis/internal/records"
)

// traced adds to a record where it belongs: the ids of the span in the ctx that it is
// logged with, which are fields of the record itself, whatever groups the logger has. Like
// any handler it may be used from any goroutine, and is not changed.
type traced struct {
	slog.Handler                                   // with all that the logger has added
	top          slog.Handler                      // with what it has added before its first group
	grouped      func(h slog.Handler) slog.Handler // adds the rest; nil: there is no group
}

func newTraced(h slog.Handler) slog.Handler { return &traced{Handler: h} }

// Handle adds the ids to a record that has a span. They would stand inside the groups of
// the logger if they were added to the record; so what is in groups is added once more
// then. That is slow, and only for such records that are in a trace.
func (t *traced) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return t.Handler.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String(records.TraceKey, span.TraceID().String()), slog.String(records.SpanKey, span.SpanID().String())}
	if t.grouped != nil {
		return t.grouped(t.top.WithAttrs(ids)).Handle(ctx, r)
	}
	r = r.Clone()
	r.AddAttrs(ids...)
	return t.Handler.Handle(ctx, r)
}

// WithAttrs adds attributes to all later records.
func (t *traced) WithAttrs(attrs []slog.Attr) slog.Handler {
	if t.grouped == nil {
		return newTraced(t.Handler.WithAttrs(attrs))
	}
	return t.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup puts all later attributes below a name.
func (t *traced) WithGroup(name string) slog.Handler {
	return t.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

// with adds something in a group, or the first one.
func (t *traced) with(add func(slog.Handler) slog.Handler) slog.Handler {
	if t.grouped == nil {
		return &traced{add(t.Handler), t.Handler, add}
	}
	return &traced{add(t.Handler), t.top, func(h slog.Handler) slog.Handler { return add(t.grouped(h)) }}
}
