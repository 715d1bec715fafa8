package otlp

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/report"
	"github.com/seed-2ba35074/trellis/metrics"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// meter reads the numbers of a tree, and sends them to the collector. One goroutine runs it; which tree it is may be said from any.
// What does not reach the collector is not sent again: the next numbers say how things are then, and how much there has been in
// all.
type meter struct {
	export  *export
	to      string // the endpoint
	every   time.Duration
	began   time.Time
	tree    atomic.Pointer[report.Measure] // the one that has begun last; nil if none has
	tell    func(level slog.Level, text string, attrs ...slog.Attr)
	failing bool
}

// run looks soon for the first time, so that something is known of a tree that lasts for less than an interval.
func (m *meter) run(ctx context.Context) {
	for next := time.After(min(m.every, collecting)); ; next = time.After(m.every) {
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
		tree := m.tree.Load()
		if tree == nil {
			continue
		}
		if err := m.look(ctx, *tree); ctx.Err() == nil {
			m.account(err)
		}
	}
}

// look reads all numbers once, and sends them.
func (m *meter) look(ctx context.Context, tree report.Measure) error {
	reading, cancel := context.WithTimeout(ctx, m.export.timeout)
	defer cancel()
	all, err := tree(reading)
	if err != nil {
		return err
	}
	for _, batch := range m.encode(all, time.Now()) {
		var answer collector.ExportMetricsServiceResponse
		if err := m.export.send(ctx, metricsSignal, &collector.ExportMetricsServiceRequest{ResourceMetrics: batch}, &answer); err != nil {
			return err
		}
		if partial := answer.GetPartialSuccess(); partial.GetRejectedDataPoints() > 0 {
			err = &partialError{partial.GetRejectedDataPoints(), partial.GetErrorMessage()}
		}
	}
	return err
}

// account tells that numbers do not get through, and that they do again, each once.
func (m *meter) account(err error) {
	switch {
	case err != nil && !m.failing:
		m.tell(slog.LevelWarn, "numbers of actors do not reach the collector", slog.String("endpoint", m.to), slog.String("error", fault.Line(err)))
	case err == nil && m.failing:
		m.tell(slog.LevelInfo, "numbers of actors reach the collector again", slog.String("endpoint", m.to))
	}
	m.failing = err != nil
}

// encode has the numbers of each process together, in requests that are not too large.
func (m *meter) encode(all []telemetry.Metrics, now time.Time) (batches [][]*metricspb.ResourceMetrics) {
	instruments := metrics.Instruments()
	size := mostBytes
	for i := range all {
		scoped := &metricspb.ScopeMetrics{Scope: &commonpb.InstrumentationScope{Name: scope}}
		for j := range instruments {
			if one := m.metric(&instruments[j], &all[i], now); one != nil {
				scoped.Metrics = append(scoped.Metrics, one)
			}
		}
		r := &metricspb.ResourceMetrics{Resource: m.export.resources.of(all[i].Actor, now), ScopeMetrics: []*metricspb.ScopeMetrics{scoped}}
		if size += proto.Size(r); size > mostBytes {
			batches, size = append(batches, nil), proto.Size(r)
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], r)
	}
	return batches
}

// metric is what an instrument says of an actor; nil if that is nothing. Sums are of all the time since their process began,
// which is another resource after a restart.
func (m *meter) metric(i *metrics.Instrument, of *telemetry.Metrics, now time.Time) *metricspb.Metric {
	conventional := conventions[i.Name]
	out := &metricspb.Metric{Name: cmp.Or(conventional.name, i.Name), Unit: cmp.Or(conventional.unit, i.Unit), Description: i.Help}
	var numbers []*metricspb.NumberDataPoint
	var histograms []*metricspb.HistogramDataPoint
	begun, at := uint64(m.began.UnixNano()), uint64(now.UnixNano())
	for p := range i.Points(of) {
		var attributes []*commonpb.KeyValue
		if i.Label != "" {
			attributes = encodeFields([]telemetry.Field{{Key: labels[i.Label], Value: cmp.Or(directions[p.Is], p.Is)}})
		}
		if i.Kind == metrics.Histogram {
			histograms = append(histograms, encodeHistogram(&p, attributes, begun, at))
			continue
		}
		n := &metricspb.NumberDataPoint{Attributes: attributes, StartTimeUnixNano: begun, TimeUnixNano: at, Value: &metricspb.NumberDataPoint_AsInt{AsInt: int64(p.Value)}}
		if i.Unit == "s" {
			n.Value = &metricspb.NumberDataPoint_AsDouble{AsDouble: p.Value}
		}
		numbers = append(numbers, n)
	}
	const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	switch {
	case len(numbers)+len(histograms) == 0:
		return nil
	case i.Kind == metrics.Histogram:
		out.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{DataPoints: histograms, AggregationTemporality: cumulative}}
	case i.Kind == metrics.Counter || conventional.sum:
		out.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: numbers, AggregationTemporality: cumulative, IsMonotonic: i.Kind == metrics.Counter}}
	default:
		out.Data = &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: numbers}}
	}
	return out
}

func encodeHistogram(p *metrics.Point, attributes []*commonpb.KeyValue, begun, at uint64) *metricspb.HistogramDataPoint {
	bounds := telemetry.Bounds()
	h := &metricspb.HistogramDataPoint{Attributes: attributes, StartTimeUnixNano: begun, TimeUnixNano: at, Sum: &p.Value, BucketCounts: make([]uint64, len(bounds)+1)}
	copy(h.BucketCounts, p.Buckets)
	for _, n := range h.BucketCounts {
		h.Count += n
	}
	for _, b := range bounds {
		h.ExplicitBounds = append(h.ExplicitBounds, b.Seconds())
	}
	return h
}

// conventions are the names, units and kinds that OpenTelemetry's conventions have for an instrument, if they have it: sum is what they
// call an UpDownCounter. Who a number is about is its resource.
var conventions = map[string]struct {
	name, unit string
	sum        bool
}{
	"trellis.process.cpu.time":    {"process.cpu.time", "s", true},
	"trellis.process.memory":      {"process.memory.usage", "By", true},
	"trellis.process.descriptors": {"process.unix.file_descriptor.count", "{file_descriptor}", true},
}

// labels and directions are the names of attributes, and values of them, that the labels of instruments become.
var (
	labels     = map[string]string{"endpoint": "rpc.method", "direction": "network.io.direction", "cause": "trellis.cause"}
	directions = map[string]string{"in": "receive", "out": "transmit"}
)
