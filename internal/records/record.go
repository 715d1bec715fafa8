package records

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"time"

	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of one record or span, in bytes but for its fields. What is larger is cut, and a
// field says how many others were left out.
const (
	mostText   = 4 << 10
	mostKey    = 128
	mostValue  = 1 << 10
	mostFields = 64
	mostInAll  = 8 << 10 // of all fields together
)

// The names of fields that say where a record belongs, as the SDK writes them and many others do.
const (
	TraceKey = "trace_id"
	SpanKey  = "span_id"
)

// Of makes a record of what a log is given. Values are not looked at here: what is not a plain
// value becomes one where the record is put in, which may be somewhere else. Groups are
// flattened, and the fields that name its trace and its span become that.
func Of(at time.Time, level slog.Level, text string, attrs []slog.Attr) telemetry.Record {
	r := telemetry.Record{Time: at, Level: level, Text: text}
	for _, a := range attrs {
		switch value := a.Value.Resolve(); {
		case a.Key == TraceKey && isID(value.String(), 16):
			r.Trace = value.String()
		case a.Key == SpanKey && isID(value.String(), 8):
			r.Span = value.String()
		default:
			r.Fields = flatten(r.Fields, "", a.Key, value)
		}
	}
	return r
}

// flatten adds a value, or all of a group. A group without a name is, as in slog, as if its
// fields stood in its place. Fields beyond those that are kept are only counted, and so are
// empty.
func flatten(fields []telemetry.Field, prefix, key string, value slog.Value) []telemetry.Field {
	switch {
	case value.Kind() != slog.KindGroup && len(fields) >= mostFields:
		return append(fields, telemetry.Field{})
	case value.Kind() != slog.KindGroup:
		return append(fields, telemetry.Field{Key: prefix + words.Clip(key, mostKey), Value: value.Any()})
	case key != "":
		prefix = words.Clip(prefix+key, mostKey) + "."
	}
	for _, a := range value.Group() {
		fields = flatten(fields, prefix, a.Key, a.Value.Resolve())
	}
	return fields
}

// isID reports whether a text is an id of so many bytes, in hex. Of asks that of fields, which
// may have such a name by chance, and bound of what comes from other processes.
func isID(text string, bytes int) bool {
	if len(text) != 2*bytes {
		return false
	}
	_, err := hex.DecodeString(text)
	return err == nil
}

// What a record and a field of it take beside their texts, in bytes.
const (
	recordSize = 200
	fieldSize  = 56
)

// bound makes a record one that may be kept, whoever has made it, and gives its size in bytes.
func bound(r *telemetry.Record, now time.Time) (size int) {
	r.Time = plausible(r.Time, now)
	if !isID(r.Trace, 16) {
		r.Trace = ""
	}
	if !isID(r.Span, 8) {
		r.Span = ""
	}
	r.Text = words.Clip(r.Text, mostText)
	inAll := 0
	r.Fields = boundFields(r.Fields, &inAll)
	return recordSize + len(r.Actor) + len(r.Trace) + len(r.Span) + len(r.Text) + inAll
}

// plausible is a time that an actor may have told: not one that is still to come.
func plausible(at, now time.Time) time.Time {
	if at.After(now) || at.Year() < 1970 {
		at = now
	}
	return at.UTC()
}

// boundFields makes fields those that may be kept, and adds what they take to inAll.
func boundFields(fields []telemetry.Field, inAll *int) []telemetry.Field {
	for i := range fields {
		f := &fields[i]
		f.Key, f.Value = words.Clip(f.Key, mostKey), plain(f.Value)
		text, _ := f.Value.(string)
		room := len(f.Key) + len(text) + fieldSize
		if i == mostFields || *inAll+room > mostInAll {
			return append(fields[:i:i], telemetry.Field{Key: "left_out", Value: int64(len(fields) - i)})
		}
		*inAll += room
	}
	return fields
}

// plain is a value of one of the types that a field may have. One that has come from another
// process has the types of CBOR.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v) // JSON has none
		}
		return v
	case int64, bool:
		return v
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
		return v
	case string:
		return words.Clip(v, mostValue)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	if b := reflect.ValueOf(v); b.Kind() == reflect.Slice && b.Type().Elem().Kind() == reflect.Uint8 { // such as JSON
		return words.Clip(string(b.Bytes()), mostValue)
	}
	return words.Clip(fmt.Sprint(v), mostValue)
}
