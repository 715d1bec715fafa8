package report

import (
	"context"

	"github.com/seed-2ba35074/trellis/internal/ctxvalue"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// InTree gives a ctx that has a registry, and records and spans, of which it keeps so many.
// What the ctx had none of is made here, and end ends it. Either may be there without the
// other: a program may have made one itself, to read it before the nursery is open or after it
// has ended.
func InTree(ctx context.Context, most, spans int) (_ context.Context, end func()) {
	end = func() {}
	if directory.From(ctx) == nil {
		own := directory.NewMemory("", nil)
		ctx, end = directory.With(ctx, own), own.Finish
	}
	if telemetry.From(ctx) == nil {
		own, before := records.New("", most, spans, nil), end
		ctx, end = telemetry.With(ctx, own), func() { own.Finish(); before() }
	}
	return ctx, end
}

// Measure reads the numbers of the actors of a tree, as [telemetry.Measure] does.
type Measure = func(context.Context) ([]telemetry.Metrics, error)

// OnMeasure returns a ctx for whoever is outside of the trees that begin in it, and is told how their numbers are read.
func OnMeasure(ctx context.Context, told func(Measure)) context.Context {
	return ctxvalue.With(ctx, told)
}

// WithMeasure is telemetry.WithMeasure for a tree that begins in ctx.
func WithMeasure(ctx context.Context, m Measure) context.Context {
	if told := ctxvalue.Of[func(Measure)](ctx); told != nil {
		told(m)
	}
	return telemetry.WithMeasure(ctx, m)
}
