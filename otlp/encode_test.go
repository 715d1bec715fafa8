package otlp

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// A record that goes out and comes in again says the same, but for what the protocol cannot carry.
func TestO02_RecordsGoOutAndIn(t *testing.T) {
	r := telemetry.Record{
		Time: time.Unix(1700000000, 5), Level: slog.LevelWarn + 1, Text: "it \xff went", Trace: strings.Repeat("0a", 16), Span: strings.Repeat("0b", 8),
		Fields: []telemetry.Field{
			{Key: "text", Value: "a\xffb"}, {Key: "whole", Value: int64(-7)}, {Key: "large", Value: uint64(math.MaxUint64)}, {Key: "small", Value: uint64(8)},
			{Key: "real", Value: 1.5}, {Key: "yes", Value: true},
		},
	}
	out, err := proto.Marshal(encodeRecord(&r, 1))
	if err != nil {
		t.Fatal(err)
	}
	in := new(logspb.LogRecord)
	if err := proto.Unmarshal(out, in); err != nil {
		t.Fatal(err)
	}
	want := r
	want.Text, want.Fields = "it \uFFFD went", []telemetry.Field{
		{Key: "logger", Value: "provider"}, {Key: "text", Value: "a\uFFFDb"}, {Key: "whole", Value: int64(-7)}, {Key: "large", Value: "18446744073709551615"}, {Key: "small", Value: int64(8)},
		{Key: "real", Value: 1.5}, {Key: "yes", Value: true},
	}
	if diff := cmp.Diff(want, decodeRecord(in, "provider")); diff != "" {
		t.Errorf("O02: %s", diff)
	}
}

// What comes in may be of any form.
func TestO02_ForeignRecords(t *testing.T) {
	text := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	pairs := func(all ...*commonpb.KeyValue) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: all}}}
	}
	list := func(all ...*commonpb.AnyValue) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: all}}}
	}
	deep := text("the bottom")
	for range 100 {
		deep = list(deep)
	}
	for _, c := range []struct {
		in   *logspb.LogRecord
		want string
	}{
		{&logspb.LogRecord{}, "INFO "},
		{&logspb.LogRecord{EventName: "device.app.lifecycle", SeverityText: "error"}, "ERROR device.app.lifecycle"},
		{&logspb.LogRecord{SeverityNumber: 1000, Body: text("loud")}, "ERROR+7 loud"},
		{&logspb.LogRecord{SeverityText: "Notice", Body: list(text("a"), pairs(&commonpb.KeyValue{Key: "b", Value: text("c")}))}, "INFO [a, {b: c}]"},
		{&logspb.LogRecord{Attributes: []*commonpb.KeyValue{{Key: "a", Value: pairs(&commonpb.KeyValue{Key: "b", Value: list(text("1"), nil)})}, {Key: "empty"}}}, `INFO  a.b="[1, ]" empty=""`},
		{&logspb.LogRecord{Body: deep}, "INFO [[[[[[]]]]]]"},
		{&logspb.LogRecord{Attributes: []*commonpb.KeyValue{{Key: "raw", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1, 2}}}}}}, "INFO  raw=\"AQI=\""},
	} {
		r := decodeRecord(c.in, "")
		if got := r.Level.String() + " " + r.String(); got != c.want {
			t.Errorf("O02: %v is %q, want %q", c.in, got, c.want)
		}
	}
	many := &logspb.LogRecord{Attributes: make([]*commonpb.KeyValue, 100_000)}
	s := records.New("", 10, 0, nil)
	s.Put(decodeRecord(many, ""))
	for r := range s.Watch(t.Context(), telemetry.Filter{}) {
		if last := r.Fields[len(r.Fields)-1]; len(r.Fields) != 65 || last.Key != "left_out" {
			t.Errorf("O02: %d fields are kept, the last one is %v", len(r.Fields), last)
		}
	}
}

// What was said before a restart is the word of the process before it.
func TestO02_ResourcesOfProcesses(t *testing.T) {
	r := newResources(nil)
	first, second := actor.NewID("parser"), actor.NewID("parser")
	begun := time.Unix(1000, 0)
	for i, e := range []directory.Event{
		{Actor: first, To: directory.Waiting}, {Actor: first, To: directory.Starting}, {Actor: actor.ID{Name: "parser", UUID: first.UUID, PID: 11}, To: directory.Ready},
		{Actor: actor.ID{Name: "parser", UUID: first.UUID, PID: 11}, To: directory.Reaped}, {Actor: second, To: directory.Starting},
		{Actor: actor.ID{Name: "parser", UUID: second.UUID, PID: 12}, To: directory.Ready}, {Actor: actor.ID{Name: "parser", UUID: second.UUID, PID: 12}, To: directory.Gone},
	} {
		e.Path, e.Time = "census/parser#2", begun.Add(time.Duration(i)*time.Second)
		r.apply(&e)
	}
	for after, want := range map[time.Duration]string{-time.Second: first.UUID, 3500 * time.Millisecond: first.UUID, 4500 * time.Millisecond: second.UUID, time.Hour: second.UUID} {
		got := map[string]string{}
		for _, a := range r.of("census/parser#2", begun.Add(after)).GetAttributes() {
			got[a.GetKey()] = textOf(a.GetValue(), 0)
		}
		if got["service.instance.id"] != want || got["service.name"] != "parser" || got["trellis.path"] != "census/parser#2" || got["process.pid"] == "" {
			t.Errorf("O02: after %v it is %v, want %s", after, got, want)
		}
	}
	for i := range 3 * mostGone {
		e := directory.Event{Path: "worker-" + time.Duration(i).String(), Actor: actor.NewID("worker"), To: directory.Gone}
		r.apply(&e)
	}
	if n := len(r.known); n > mostGone+1 {
		t.Errorf("O02: %d actors are remembered, of which all but the root are gone", n)
	}
}
