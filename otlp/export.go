package otlp

import (
	"context"
	"iter"
	"log/slog"
	"math"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// export sends what a tree says to a collector. startExport starts its goroutines, and finish ends them.
type export struct {
	client    client
	timeout   time.Duration
	resources *resources
	meter     *meter

	fold      *task.Worker
	pumps     task.Group
	looking   context.CancelFunc      // ends the meter
	following context.CancelFunc      // ends the loop over the directory
	reading   context.CancelFunc      // ends the loops over what is said
	sending   context.CancelCauseFunc // gives up what was not sent
}

// startExport begins to send what is said in the tree of ctx.
func startExport(ctx context.Context, o config.OTLP) (*export, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	e := &export{client: c, timeout: time.Duration(o.Timeout), resources: newResources(o.Resource)}
	looking, blind := context.WithCancel(ctx)
	source, registry := telemetry.From(ctx), directory.From(ctx)
	following, stop := context.WithCancel(ctx)
	reading, cancel := context.WithCancel(ctx)
	sending, giveUp := context.WithCancelCause(ctx)
	e.looking, e.following, e.reading, e.sending = blind, stop, cancel, giveUp
	tell := func(level slog.Level, text string, attrs ...slog.Attr) {
		slog.LogAttrs(ctx, level, text, attrs...)
		source.Put(telemetry.Record{Time: time.Now(), Level: level, Text: text, Fields: fields(attrs)})
	}
	e.fold = task.Start(func() { e.resources.follow(following, registry) })
	all := telemetry.Filter{Level: math.MinInt, Follow: true}
	pumping(sending, e, newPump("records", o.Endpoint, recordSize, e.sendLogs, tell), source.Watch(reading, all))
	if source.KeepsSpans() {
		pumping(sending, e, newPump("spans", o.Endpoint, spanSize, e.sendSpans, tell), source.WatchSpans(reading, all))
	}
	e.meter = &meter{export: e, to: o.Endpoint, every: time.Duration(o.Interval), began: time.Now(), tell: tell}
	e.pumps.Go(func() { e.meter.run(looking) })
	return e, nil
}

// pumping runs a pump.
func pumping[T any](sending context.Context, e *export, p *pump[T], all iter.Seq2[T, error]) {
	e.pumps.Go(func() { p.read(all, e.fold.Done()) })
	e.pumps.Go(func() { p.run(sending) })
}

func fields(attrs []slog.Attr) (all []telemetry.Field) {
	for _, a := range attrs {
		all = append(all, telemetry.Field{Key: a.Key, Value: a.Value.Any()})
	}
	return all
}

// finish sends what is left, for so long at most. The loops end by themselves when what they are over has; what was there
// already in the ctx in which all this began does not.
func (e *export) finish(began context.Context, within time.Duration) {
	e.looking()
	if telemetry.From(began) != nil {
		e.reading()
	}
	if directory.From(began) != nil {
		e.following()
	}
	late := time.AfterFunc(within, func() { e.sending(errFlushed) })
	defer late.Stop()
	e.pumps.Close()
	e.fold.Wait()
	e.reading()
	e.following()
	e.sending(nil)
	e.client.close()
}

// sendLogs sends records in one request, and says how many of them the collector has refused.
func (e *export) sendLogs(ctx context.Context, batch []telemetry.Record) (refused int64, why string, err error) {
	var answer collector.ExportLogsServiceResponse
	request := &collector.ExportLogsServiceRequest{ResourceLogs: e.encodeLogs(batch)}
	err = e.send(ctx, logsSignal, request, &answer)
	partial := answer.GetPartialSuccess()
	return partial.GetRejectedLogRecords(), partial.GetErrorMessage(), err
}

func (e *export) send(ctx context.Context, s signal, request, answer proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return e.client.send(ctx, s, request, answer)
}
