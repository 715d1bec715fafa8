package otlp

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"

	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// scope is the instrumentation scope of all that Trellis itself has read or measured.
const scope = "github.com/seed-2ba35074/trellis"

// slogToOTLP is between the levels of slog, of which info is 0, and the numbers of OpenTelemetry, of which it is
// 9. The steps are the same.
const slogToOTLP = 9

// recordSize is about what a record takes in a request, in bytes.
func recordSize(r *telemetry.Record) int {
	return 128 + len(r.Text) + fieldsSize(r.Fields)
}

func fieldsSize(fields []telemetry.Field) (size int) {
	for _, f := range fields {
		text, _ := f.Value.(string)
		size += 32 + len(f.Key) + len(text)
	}
	return size
}

// encodeLogs has the records of each process together, in their order.
func (e *export) encodeLogs(batch []telemetry.Record) (all []*logspb.ResourceLogs) {
	of := map[*resourcepb.Resource]*logspb.ScopeLogs{}
	now := uint64(time.Now().UnixNano())
	for i := range batch {
		r := e.resources.of(batch[i].Actor, batch[i].Time)
		logs := of[r]
		if logs == nil {
			logs = &logspb.ScopeLogs{Scope: &commonpb.InstrumentationScope{Name: scope}}
			of[r] = logs
			all = append(all, &logspb.ResourceLogs{Resource: r, ScopeLogs: []*logspb.ScopeLogs{logs}})
		}
		logs.LogRecords = append(logs.LogRecords, encodeRecord(&batch[i], now))
	}
	return all
}

func encodeRecord(r *telemetry.Record, now uint64) *logspb.LogRecord {
	trace, _ := hex.DecodeString(r.Trace) // a record has a valid one, or none
	span, _ := hex.DecodeString(r.Span)
	return &logspb.LogRecord{
		TimeUnixNano: uint64(r.Time.UnixNano()), ObservedTimeUnixNano: now,
		SeverityNumber: logspb.SeverityNumber(min(max(int(r.Level)+slogToOTLP, 1), 24)), SeverityText: r.Level.String(),
		Body: encodeValue(r.Text), Attributes: encodeFields(r.Fields), TraceId: trace, SpanId: span,
	}
}

func encodeFields(fields []telemetry.Field) (all []*commonpb.KeyValue) {
	for _, f := range fields {
		all = append(all, &commonpb.KeyValue{Key: valid(f.Key), Value: encodeValue(f.Value)})
	}
	return all
}

// encodeValue is a value of a field. A text may hold anything, and must be UTF-8 in the protocol.
func encodeValue(v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case bool:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v}}
	case int64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v}}
	case uint64:
		if v <= math.MaxInt64 {
			return encodeValue(int64(v))
		}
	case float64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(fmt.Sprint(v))}}
}

// valid is a text as the protocol takes it.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
