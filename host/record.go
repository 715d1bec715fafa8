package host

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is what a line of slog's or hclog's JSON says.
type record struct {
	level   slog.Level
	time    time.Time // zero if the line has none that can be read
	message string
	fields  []slog.Attr // the others, in the line's order
}

// dialects are the keys of level, time and message: slog's and hclog's.
var dialects = [2][3]string{
	{slog.LevelKey, slog.TimeKey, slog.MessageKey},
	{"@level", "@timestamp", "@message"},
}

// parseRecord reads a line, and reports false if it is not a record. A line whose
// end was cut is read as far as it goes; its last text is cut as well.
func parseRecord(text []byte, cut bool) (r record, ok bool) {
	if len(text) == 0 || text[0] != '{' {
		return r, false
	}
	fields, ok := parseFields(text, cut, maxGroups)
	if !ok {
		return r, false
	}
	keys := dialects[0]
	if len(fields) > 0 && strings.HasPrefix(fields[0].Key, "@") { // hclog sorts its keys
		keys = dialects[1]
	}
	r.fields = fields
	if r.level, ok = parseLevel(r.take(keys[0])); !ok {
		return r, false
	}
	r.time, _ = time.Parse(time.RFC3339Nano, r.take(keys[1])) // a zero time says it
	r.message = r.take(keys[2])
	return r, true
}

// take removes the first field of a name, if it is a text, and returns it.
func (r *record) take(key string) string {
	i := slices.IndexFunc(r.fields, func(a slog.Attr) bool { return a.Key == key })
	if i < 0 || r.fields[i].Value.Kind() != slog.KindString {
		return ""
	}
	value := r.fields[i].Value.String()
	r.fields = slices.Delete(r.fields, i, i+1)
	return value
}

// text is the first field of one of the names that is a text.
func (r *record) text(keys ...string) string {
	for _, a := range r.fields {
		if slices.Contains(keys, a.Key) && a.Value.Kind() == slog.KindString {
			return a.Value.String()
		}
	}
	return ""
}

// maxGroups bounds how deep objects become groups; what lies deeper stays JSON.
const maxGroups = 4

// parseFields reads a JSON object, in its order.
func parseFields(text []byte, cut bool, groups int) (fields []slog.Attr, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return fields, cut
		}
		var raw json.RawMessage
		start := d.InputOffset()
		if err := d.Decode(&raw); err != nil {
			if head, ok := textHead(text[start:]); cut && ok {
				fields = append(fields, slog.String(name, head))
			}
			return fields, cut
		}
		if end := d.InputOffset(); cut && end == int64(len(text)) && raw[0] != '"' {
			return fields, true // a number whose last digits may be missing
		}
		fields = append(fields, slog.Attr{Key: name, Value: parseValue(raw, groups)})
	}
	if _, err := d.Token(); err != nil {
		return fields, cut
	}
	_, err := d.Token()
	return fields, err == io.EOF
}

// parseValue keeps what a JSON value says, to the last digit.
func parseValue(raw json.RawMessage, groups int) slog.Value {
	switch raw[0] {
	case '"':
		var text string
		_ = json.Unmarshal(raw, &text) // it has been parsed
		return slog.StringValue(text)
	case 't', 'f':
		return slog.BoolValue(raw[0] == 't')
	case 'n':
		return slog.AnyValue(nil)
	case '[':
		return slog.AnyValue(raw)
	case '{':
		if fields, ok := parseFields(raw, false, groups-1); ok && groups > 0 && len(fields) > 0 {
			return slog.GroupValue(fields...)
		}
		return slog.AnyValue(raw)
	}
	return parseNumber(string(raw))
}

// parseNumber is a number as Go's types have it, or as it stands in the line if it
// fits none of them.
func parseNumber(text string) slog.Value {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return slog.Int64Value(n)
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return slog.Uint64Value(n)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".eE") {
		return slog.Float64Value(f)
	}
	return slog.AnyValue(json.Number(text))
}

// textHead is what there is of a text whose end is missing.
func textHead(rest []byte) (head string, ok bool) {
	rest = bytes.TrimLeft(rest, ": \t\r")
	if len(rest) == 0 || rest[0] != '"' {
		return "", false
	}
	const longest = len(`\ud83d\ude0`) // an escape without its end
	for range longest + 1 {
		if len(rest) == 0 {
			return "", false
		}
		if json.Unmarshal(append(slices.Clip(rest), '"'), &head) == nil {
			return head, true
		}
		rest = rest[:len(rest)-1]
	}
	return "", false
}
