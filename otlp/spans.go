package otlp

import (
	"context"
	"encoding/hex"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// spanSize is about what a span takes in a request, in bytes.
func spanSize(s *telemetry.Span) int {
	size := 512 + len(s.Name) + len(s.State) + len(s.Error) + fieldsSize(s.Fields)
	for _, e := range s.Events {
		size += 32 + len(e.Name) + fieldsSize(e.Fields)
	}
	return size
}

// sendSpans is sendLogs for spans.
func (e *export) sendSpans(ctx context.Context, batch []telemetry.Span) (refused int64, why string, err error) {
	var answer collector.ExportTraceServiceResponse
	err = e.send(ctx, tracesSignal, &collector.ExportTraceServiceRequest{ResourceSpans: e.encodeSpans(batch)}, &answer)
	partial := answer.GetPartialSuccess()
	return partial.GetRejectedSpans(), partial.GetErrorMessage(), err
}

// encodeSpans has the spans of each process together.
func (e *export) encodeSpans(batch []telemetry.Span) (all []*tracepb.ResourceSpans) {
	of := map[*resourcepb.Resource]*tracepb.ScopeSpans{}
	for i := range batch {
		r := e.resources.of(batch[i].Actor, batch[i].Time)
		if of[r] == nil {
			of[r] = &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: scope}}
			all = append(all, &tracepb.ResourceSpans{Resource: r, ScopeSpans: []*tracepb.ScopeSpans{of[r]}})
		}
		of[r].Spans = append(of[r].Spans, encodeSpan(&batch[i]))
	}
	return all
}

// kinds are those of the protocol.
var kinds = map[telemetry.SpanKind]tracepb.Span_SpanKind{
	telemetry.Client: tracepb.Span_SPAN_KIND_CLIENT, telemetry.Server: tracepb.Span_SPAN_KIND_SERVER, telemetry.Internal: tracepb.Span_SPAN_KIND_INTERNAL,
}

// cancelledKey marks a span that somebody has ended on purpose, for which the protocol has no status.
const cancelledKey = "trellis.cancelled"

func encodeSpan(s *telemetry.Span) *tracepb.Span {
	trace, _ := hex.DecodeString(s.Trace) // a span has valid ones, or none
	span, _ := hex.DecodeString(s.Span)
	parent, _ := hex.DecodeString(s.Parent)
	out := &tracepb.Span{
		TraceId: trace, SpanId: span, ParentSpanId: parent, TraceState: valid(s.State), Name: valid(s.Name), Kind: kinds[s.Kind],
		StartTimeUnixNano: uint64(s.Time.UnixNano()), EndTimeUnixNano: uint64(s.Time.Add(s.Duration).UnixNano()),
		Attributes: encodeFields(s.Attributes()), Status: &tracepb.Status{},
	}
	switch s.Status {
	case telemetry.Failed, telemetry.Deadline:
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: valid(s.Error)}
	case telemetry.Cancelled:
		out.Attributes = append(out.Attributes, &commonpb.KeyValue{Key: cancelledKey, Value: encodeValue(s.Error)})
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, &tracepb.Span_Event{TimeUnixNano: uint64(e.Time.UnixNano()), Name: valid(e.Name), Attributes: encodeFields(e.Fields)})
	}
	return out
}

// takeSpans keeps the spans of a program, as takeLogs does with what it has logged.
func (r *receiver) takeSpans(from *sender, request proto.Message) proto.Message {
	spans, _ := request.(*collector.ExportTraceServiceRequest) // it is one
	for _, resource := range spans.GetResourceSpans() {
		for _, scoped := range resource.GetScopeSpans() {
			for _, s := range scoped.GetSpans() {
				span := decodeSpan(s)
				span.Actor = from.path
				r.source.PutSpans(0, &span)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}
}

// decodeFields flattens attributes as those of a record.
func decodeFields(all []*commonpb.KeyValue) []telemetry.Field {
	return records.Of(time.Time{}, 0, "", attributes(all, 0)).Fields
}

func decodeSpan(in *tracepb.Span) telemetry.Span {
	begun := timeOf(in.GetStartTimeUnixNano())
	s := telemetry.Span{
		Time: begun, Duration: timeOf(in.GetEndTimeUnixNano()).Sub(begun), Name: in.GetName(), Kind: telemetry.Internal, Status: telemetry.OK, State: in.GetTraceState(),
		Trace: hex.EncodeToString(in.GetTraceId()), Span: hex.EncodeToString(in.GetSpanId()), Parent: hex.EncodeToString(in.GetParentSpanId()),
		Fields: decodeFields(in.GetAttributes()),
	}
	for kind, number := range kinds {
		if number == in.GetKind() {
			s.Kind = kind
		}
	}
	if in.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		s.Status, s.Error = telemetry.Failed, in.GetStatus().GetMessage()
	}
	for _, e := range in.GetEvents()[:min(len(in.GetEvents()), mostElements)] {
		s.Events = append(s.Events, telemetry.SpanEvent{Time: timeOf(e.GetTimeUnixNano()), Name: e.GetName(), Fields: decodeFields(e.GetAttributes())})
	}
	return s
}
