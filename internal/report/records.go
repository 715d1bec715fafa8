package report

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/endpoint"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of records and spans: how much of what is on its way to its host an actor keeps of
// each, and how many loops a program that has joined may have at once, where more wait to
// begin.
const (
	MostOnTheWay = 4096
	mostReaders  = 8
)

// SendRecords tells the actor at the other end of t's link all records and spans that s is
// given, until s ends or the link does. s is that of the actor at a path: the paths in it are
// from the root, and those that are sent begin below the actor, since its host knows better
// than itself where it is. An actor that takes none refuses that with fault.ErrNotExposed.
func SendRecords(ctx context.Context, t *dialog.Table, at string, s *records.Store) error {
	below := func(actor string) string { return strings.TrimPrefix(strings.TrimPrefix(actor, at), "/") }
	return tell(ctx, t, wire.Records, func(ctx context.Context, send func(*message) error) error {
		for r, err := range s.Watch(ctx, telemetry.Filter{Level: math.MinInt, Follow: true}) {
			r.Actor = below(r.Actor)
			m := messageOf(message{Record: &r}, err)
			if err := send(&m); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	}, func(ctx context.Context, send func(*message) error) error {
		for missed, batch := range s.SpanBatches(ctx) {
			for i := range batch.Words {
				batch.Words[i].Actor = below(batch.Words[i].Actor)
			}
			if err := send(&message{Spans: *batch, MissedSpans: missed}); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
}

// ReceiveRecords takes what the actor at a path tells of itself and of those below it, until
// the dialog ends. A record or a span of any other actor is dropped, and counted as lost. How
// many records were lost becomes a record itself, since everybody who reads what the actor
// says should know, and not only those who read it at that moment; spans are missing in
// traces.
func ReceiveRecords(ctx context.Context, d *dialog.Dialog, at string, to telemetry.Source) error {
	place := func(actor *string) bool {
		if *actor != "" && (!treepath.Valid(*actor) || len(at)+len(*actor) >= treepath.Most) {
			return false
		}
		*actor = strings.TrimSuffix(treepath.Join(at, *actor), "/")
		return true
	}
	return receive(ctx, d, func(m *message) {
		missed := m.Missed
		if m.Record != nil && place(&m.Record.Actor) {
			to.Put(*m.Record)
		} else if m.Record != nil {
			missed++
		}
		if missed > 0 {
			r := records.Of(time.Now(), slog.LevelWarn, "records of an actor were lost on their way", []slog.Attr{slog.Int("missed", missed)})
			r.Actor = at
			to.Put(r)
		}
		if lost := putSpans(m, place, to); lost > 0 {
			to.PutSpans(lost)
		}
	})
}

// putSpans puts the spans of a message into a source, and reports how many are lost behind them. Their actors
// are placed once for all that have the same.
func putSpans(m *message, place func(actor *string) bool, to telemetry.Source) (lost int) {
	lost = max(0, min(m.MissedSpans, math.MaxInt32))
	placed := make([]bool, len(m.Spans.Words))
	for i := range placed {
		placed[i] = place(&m.Spans.Words[i].Actor)
	}
	for i := range m.Spans.Len() {
		span, of := m.Spans.Take(i)
		if !placed[of] {
			lost++
			continue
		}
		tracing.Put(to, lost, span)
		lost = 0
	}
	return lost
}

// AnswerRecords gives the task by which a host shows its records, or its spans, to a program
// that has joined; nil if the endpoint is another one. They are chosen here, so that only
// those go over the link for which it has asked.
func AnswerRecords(start *wire.Start, s telemetry.Source) dialog.Task {
	var answer func(ctx context.Context, d *dialog.Dialog, f telemetry.Filter) error
	switch {
	case start.Kind != dialog.Source:
		return nil
	case start.Endpoint == wire.WatchRecords:
		answer = func(ctx context.Context, d *dialog.Dialog, f telemetry.Filter) error {
			return show(ctx, d, s.Watch(task.Unhurried(ctx), f), func(r *telemetry.Record) message { return message{Record: r} })
		}
	case start.Endpoint == wire.WatchSpans:
		answer = func(ctx context.Context, d *dialog.Dialog, f telemetry.Filter) error {
			return show(ctx, d, s.WatchSpans(task.Unhurried(ctx), f), func(s *telemetry.Span) (m message) {
				m.Spans.Add(tracing.Of(s))
				return m
			})
		}
	default:
		return nil
	}
	return func(ctx context.Context, d *dialog.Dialog) ([]byte, error) {
		if err := d.Enter(mostReaders); err != nil {
			return nil, err
		}
		var f telemetry.Filter
		if n := len(d.Args()); n > maxMessage {
			return nil, fmt.Errorf("%s: a filter of %d bytes; the limit is %d", start.Endpoint, n, maxMessage)
		}
		if err := codecs.CBOR.Unmarshal(d.Args(), &f); err != nil {
			return nil, fmt.Errorf("%s: %w", start.Endpoint, err)
		}
		return nil, answer(ctx, d, f)
	}
}

// Records are the source of an actor that has a host: what is put in goes there, where the
// records of the whole tree are read. It is made once, and does not change.
type Records struct {
	*records.Store
	Host    endpoint.Reach // the link to the host
	Printed bool           // the host reads what the program prints, and would have what is printed of others twice
}

// Watch ranges over what the host has, which it shows only to programs that have joined it.
func (r Records) Watch(ctx context.Context, f telemetry.Filter) iter.Seq2[telemetry.Record, error] {
	return watched(ctx, r.Host, wire.WatchRecords, f, func(m message) (none telemetry.Record) {
		if m.Record == nil {
			return none
		}
		return *m.Record
	})
}

// WatchSpans is Watch for spans.
func (r Records) WatchSpans(ctx context.Context, f telemetry.Filter) iter.Seq2[telemetry.Span, error] {
	return watched(ctx, r.Host, wire.WatchSpans, f, func(m message) (none telemetry.Span) {
		if m.Spans.Len() == 0 {
			return none
		}
		span, _ := m.Spans.Take(0)
		return span.Telemetry()
	})
}
