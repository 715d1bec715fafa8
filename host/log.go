package host

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// logger turns a child's lines into log records: a line that is a JSON object of
// slog or hclog keeps its level, time and attributes; any other is kept as it is.
// It is for one goroutine.
//
// An execution has one. Lines come on the goroutine that hands them on from its process, and are
// kept there; the handler of the log, which may be slow, gets them on another one. What it does
// not take in time is dropped and counted. Only standard error is searched for records: slog and
// hclog print there, and what a program prints on standard output is its own text, even if it is
// JSON.
type logger struct {
	log     *slog.Logger
	waiting *logs.Queue[record]    // for the log's handler
	keep    func(telemetry.Record) // among the records of the tree
	id      actor.ID
	hosts   bool // the child has actors of its own, whose lines come through it

	swallow bool // the line that goes on is a record whose head was logged
	crashed bool // the lines on stderr are the Go runtime's, of a crash
}

// mostUnlogged is how much of what a child has printed waits for the log's handler, in bytes. A
// field of a record counts for what it takes beside its text.
const (
	mostUnlogged = 1 << 20
	recordSize   = 128
	fieldSize    = 64
)

func newLogger(log *slog.Logger, keep func(telemetry.Record), id actor.ID, hosts bool) *logger {
	l := &logger{log: log, keep: keep, id: id, hosts: hosts}
	l.waiting = logs.NewQueue(mostUnlogged, l.handle, func(n int) { l.handle(lost(n)) })
	return l
}

// lost says that a number of lines were dropped.
func lost(n int) record {
	return record{
		level: slog.LevelWarn, time: time.Now(), message: "lines of an actor's output were dropped: it prints faster than they are logged",
		fields: []slog.Attr{slog.Int("dropped", n)},
	}
}

// line logs one line, or one piece of a line that was longer than 64 KiB (process.Part).
// An empty one is not logged, but it may still say that others were dropped before it.
func (l *logger) line(line process.Line) {
	if line.Dropped > 0 {
		l.put(lost(line.Dropped), recordSize, false)
	}
	if len(line.Text) == 0 || line.Stream == process.Stderr && l.structured(line) {
		return
	}
	r := record{level: slog.LevelInfo, message: string(line.Text), fields: []slog.Attr{slog.String("stream", line.Stream.String())}}
	if line.Stream == process.Stderr {
		if l.crashed = l.crashed || process.Crashes(line.Text); l.crashed {
			r.level = slog.LevelError
		}
	}
	if line.Part != process.Whole {
		r.fields = append(r.fields, slog.String("part", line.Part.String()))
	}
	l.put(r, recordSize+len(line.Text), bytes.Contains(line.Text, []byte(wire.LogHosted)))
}

// structured logs a line that is a record, and reports false for others. Of a record
// that was cut, what its head says is logged, and the rest is left out: read by
// itself it could pretend to be a record of its own.
func (l *logger) structured(line process.Line) bool {
	switch line.Part {
	case process.Middle, process.Tail:
		return l.swallow
	}
	r, ok := parseRecord(line.Text, line.Part == process.Head)
	l.swallow = ok
	if !ok {
		return false
	}
	l.crashed = false
	if line.Part == process.Head {
		r.fields = append(r.fields, slog.String("part", line.Part.String()))
	}
	fields := len(r.fields)
	r.fields = slices.DeleteFunc(r.fields, slog.String(wire.LogKey, wire.LogHosted).Equal)
	l.put(r, recordSize+len(line.Text)+fieldSize*bytes.Count(line.Text, []byte(":")), len(r.fields) < fields)
	return true
}

// put keeps a record, whatever level the log takes, and has it logged. One of somebody whom the
// child hosts bears a mark, in whatever format the child logs. It is kept when the child tells of
// it over its link, by whom that is certain; here it is only logged.
func (l *logger) put(r record, size int, hosted bool) {
	if r.time.IsZero() {
		r.time = time.Now()
	}
	r.message = terminal.Line(r.message)
	if !hosted {
		l.keep(records.Of(r.time, r.level, r.message, r.fields))
	}
	l.waiting.Put(r, size)
}

// handle has a record handled. Whether the handler takes its level is also for that to say.
func (l *logger) handle(r record) {
	if ctx := context.Background(); l.log.Enabled(ctx, r.level) {
		out := slog.NewRecord(r.time, r.level, r.message, 0)
		out.AddAttrs(l.attributes(r)...)
		_ = l.log.Handler().Handle(ctx, out) // a handler's failure has nowhere to go
	}
}

// keeping is a log handler that keeps warnings. The host's own code, which alone logs to it, has
// no groups.
type keeping struct {
	keep  func(telemetry.Record)
	attrs []slog.Attr
}

// Enabled leaves out what is of use only beside other details.
func (keeping) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle keeps a record.
func (k keeping) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(k.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	k.keep(records.Of(r.Time, r.Level, r.Message, attrs))
	return nil
}

// WithAttrs adds attributes to all later records.
func (k keeping) WithAttrs(attrs []slog.Attr) slog.Handler {
	return keeping{k.keep, slices.Concat(k.attrs, attrs)}
}

// WithGroup adds nothing.
func (k keeping) WithGroup(string) slog.Handler { return k }

// gist is what a line of stderr may tell of an actor's death: a plain line itself, and of
// an author's record that is at least a warning its message and error. A record of the
// runtime's says nothing that an event does not say better. cut says that the line goes
// on.
//
// The last of them become fault.ActorDied.LastLog. It is called on the goroutine that
// reads the pipe, and so must be quick and wait for nobody.
func gist(text []byte, cut bool) string {
	r, ok := parseRecord(text, cut)
	switch failure := r.text("error", "err"); {
	case !ok:
		return string(text)
	case r.level < slog.LevelWarn, r.text(wire.LogKey) == wire.LogRuntime:
		return ""
	case failure != "":
		return r.message + ": " + failure
	default:
		return r.message
	}
}

// Attributes that name an actor. The first is the host's word alone.
const (
	actorKey = "actor"
	// claimKey keeps what a child that hosts nobody says under actorKey.
	claimKey = claimed + actorKey
	// claimed begins the names of fields that would pass for the record's own.
	claimed = "plugin."
)

// reserved are the names that a record's own parts have. "" would make a group's
// fields those of the record.
var reserved = []string{"", actorKey, slog.LevelKey, slog.TimeKey, slog.MessageKey}

// attributes are the actor's name and the record's other fields, in their order. The name
// is added by the host, and a field that would replace it, or the level, the time or the
// message of the record, gets another name.
func (l *logger) attributes(r record) []slog.Attr {
	speaker, claim := l.speaker(r)
	attrs := []slog.Attr{slog.String(actorKey, speaker)}
	for i, field := range r.fields {
		if i == claim {
			continue
		}
		if slices.Contains(reserved, field.Key) {
			field.Key = claimed + field.Key
		}
		attrs = append(attrs, field)
	}
	return attrs
}

// speaker names the actor that a record comes from: the child, or one below it if the
// child hosts actors and says so: "mid@0e1f2a3b/leaf@11223344". No child can speak in the
// name of an actor that is not below it. claim is the field that has said so, or -1: one
// that does not count is a field like any other.
func (l *logger) speaker(r record) (name string, claim int) {
	self := l.id.String()
	claim = slices.IndexFunc(r.fields, func(a slog.Attr) bool { return a.Key == actorKey })
	if claim < 0 || r.fields[claim].Value.Kind() != slog.KindString {
		return self, -1
	}
	switch below := r.fields[claim].Value.String(); {
	case below == self:
		return self, claim
	case below != "" && l.hosts:
		return self + "/" + below, claim
	}
	return self, -1
}

// parseLevel reads the name of a level, as slog or hclog prints it. slog has no trace; it lies 4
// below debug.
func parseLevel(name string) (level slog.Level, ok bool) {
	if strings.EqualFold(name, "trace") {
		return slog.LevelDebug - 4, true
	}
	err := level.UnmarshalText([]byte(name)) // "WARN+1"
	return level, err == nil
}

// bridge gives go-plugin an hclog logger that ends in slog. What go-plugin calls an error
// is a detail here: it logs each process that was killed as one, while the host reports
// failures itself. hclog's interceptor is used only because its sinks get records as
// values; its own output goes nowhere.
func bridge(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug})
	l.RegisterSink(sink{log})
	return l
}

// sink takes the records of go-plugin in; log does not wait for its handler.
type sink struct{ log *slog.Logger }

// Accept takes one record of go-plugin.
func (s sink) Accept(_ string, _ hclog.Level, msg string, args ...any) {
	s.log.Debug("go-plugin: "+msg, args...)
}

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

// take removes the first field of a name, if it is a text, and returns it. A field of that
// name that is something else stays among the record's fields.
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

// parseFields reads a JSON object, in its order, which a map would lose. What comes after
// the object makes the line something else than a record. With cut, an error means that
// the text ends here, and what was read before counts; a last text is kept as far as it
// goes, and a last number is left out, since a number without its last digits is another
// number.
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

// parseValue keeps what a JSON value says, to the last digit. An empty object and one that
// lies too deep stay JSON: slog leaves a group without fields out.
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

// parseNumber is a number as Go's types have it, or as it stands in the line if it fits
// none of them. An integer that is too large for 64 bits does not become a float, which
// would change its last digits.
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

// textHead is what there is of a text whose end is missing. The cut may have hit an
// escape, which no quotation mark behind it makes whole: so bytes are taken off, as many
// as the longest escape has, until what is left can be read.
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
