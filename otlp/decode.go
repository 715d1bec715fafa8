package otlp

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of values inside others. What lies deeper, or is more, is left out of the text that such a value becomes.
const (
	mostDepth    = 4
	mostElements = 65 // one more than a record keeps, so that it says that some are missing
)

// takeLogs keeps what a program has logged. What it says of itself, as a resource, is left out: who it is its
// host knows.
func (r *receiver) takeLogs(from *sender, request proto.Message) proto.Message {
	logs, _ := request.(*collector.ExportLogsServiceRequest) // it is one
	for _, resource := range logs.GetResourceLogs() {
		for _, scoped := range resource.GetScopeLogs() {
			for _, l := range scoped.GetLogRecords() {
				record := decodeRecord(l, scoped.GetScope().GetName())
				record.Actor = from.path
				r.source.Put(record)
			}
		}
	}
	return &collector.ExportLogsServiceResponse{}
}

// decodeRecord is a record, with the logger's name, if it has one, as the field logger.
func decodeRecord(l *logspb.LogRecord, logger string) telemetry.Record {
	var attrs []slog.Attr
	if logger != "" {
		attrs = append(attrs, slog.String("logger", logger))
	}
	at := timeOf(cmp.Or(l.GetTimeUnixNano(), l.GetObservedTimeUnixNano(), uint64(time.Now().UnixNano())))
	r := records.Of(at, levelOf(l), cmp.Or(textOf(l.GetBody(), 0), l.GetEventName()), append(attrs, attributes(l.GetAttributes(), 0)...))
	if id := l.GetTraceId(); len(id) > 0 {
		r.Trace, r.Span = hex.EncodeToString(id), hex.EncodeToString(l.GetSpanId()) // valid, or left out where it is kept
	}
	return r
}

func timeOf(ns uint64) time.Time { return time.Unix(0, int64(ns)) }

// levelOf is the level of a record; info if it has none.
func levelOf(l *logspb.LogRecord) (level slog.Level) {
	if n := l.GetSeverityNumber(); n > 0 {
		return slog.Level(min(n, 24) - slogToOTLP)
	}
	if err := level.UnmarshalText([]byte(l.GetSeverityText())); err != nil {
		return slog.LevelInfo // it has words of its own
	}
	return level
}

func attributes(all []*commonpb.KeyValue, depth int) (attrs []slog.Attr) {
	for _, a := range all[:min(len(all), mostElements)] {
		attrs = append(attrs, slog.Attr{Key: a.GetKey(), Value: valueOf(a.GetValue(), depth)})
	}
	return attrs
}

// valueOf is a value of a field: a mapping is a group, and what is no plain value is its text.
func valueOf(v *commonpb.AnyValue, depth int) slog.Value {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_BoolValue:
		return slog.BoolValue(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return slog.Int64Value(v.IntValue)
	case *commonpb.AnyValue_DoubleValue:
		return slog.Float64Value(v.DoubleValue)
	case *commonpb.AnyValue_KvlistValue:
		if depth < mostDepth {
			return slog.GroupValue(attributes(v.KvlistValue.GetValues(), depth+1)...)
		}
	}
	return slog.StringValue(textOf(v, depth))
}

// textOf is a value as a text, as in [1, {a: b}].
func textOf(v *commonpb.AnyValue, depth int) string {
	var parts []string
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		all := v.ArrayValue.GetValues()
		for _, element := range all[:within(len(all), depth)] {
			parts = append(parts, textOf(element, depth+1))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *commonpb.AnyValue_KvlistValue:
		all := v.KvlistValue.GetValues()
		for _, element := range all[:within(len(all), depth)] {
			parts = append(parts, element.GetKey()+": "+textOf(element.GetValue(), depth+1))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// within is how many elements of a value are read.
func within(n, depth int) int {
	if depth > mostDepth {
		return 0
	}
	return min(n, mostElements)
}
