package host

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// logger turns a child's lines into log records: a line that is a JSON object of
// slog or hclog keeps its level, time and attributes; any other is kept as it is.
type logger struct {
	log *slog.Logger
	id  actor.ID
}

func newLogger(log *slog.Logger, id actor.ID) *logger { return &logger{log: log, id: id} }

func (l *logger) line(line process.Line) {
	ctx := context.Background()
	if line.Dropped > 0 {
		l.log.WarnContext(ctx, "lines of an actor's output were dropped: it prints faster than they are logged",
			"actor", l.id.String(), "dropped", line.Dropped)
	}
	if len(line.Text) == 0 {
		return
	}
	if line.Stream == process.Stderr && !line.Continued && line.Text[0] == '{' && l.structured(ctx, line.Text) {
		return
	}
	l.log.InfoContext(ctx, strings.ToValidUTF8(string(line.Text), "\uFFFD"),
		"actor", l.id.String(), "stream", line.Stream.String())
}

// structured logs a line of slog's or hclog's JSON, and reports false for others.
func (l *logger) structured(ctx context.Context, text []byte) bool {
	var fields map[string]any
	if json.Unmarshal(text, &fields) != nil {
		return false
	}
	level, ok := parseLevel(first(fields, "level", "@level"))
	if !ok {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, first(fields, "time", "@timestamp"))
	if err != nil {
		at = time.Now()
	}
	if !l.log.Enabled(ctx, level) {
		return true
	}
	record := slog.NewRecord(at, level, first(fields, "msg", "@message"), 0)
	record.AddAttrs(attributes(fields, l.id)...)
	_ = l.log.Handler().Handle(ctx, record) // a handler's failure has nowhere to go
	return true
}

// known are the fields that a record has a place of its own for.
var known = []string{"level", "@level", "time", "@timestamp", "msg", "@message"}

// gist is what a line of stderr may tell of an actor's death: a plain line itself,
// and of a record that is at least a warning its message and error.
func gist(text []byte) string {
	if len(text) == 0 || text[0] != '{' {
		return string(text)
	}
	var fields map[string]any
	if json.Unmarshal(text, &fields) != nil {
		return string(text)
	}
	level, ok := parseLevel(first(fields, "level", "@level"))
	switch message, failure := first(fields, "msg", "@message"), first(fields, "error", "err"); {
	case !ok:
		return string(text)
	case level < slog.LevelWarn:
		return ""
	case failure != "":
		return message + ": " + failure
	default:
		return message
	}
}

// attributes are the other fields, by name. A line that has come through another
// actor names its actor already.
func attributes(fields map[string]any, id actor.ID) []slog.Attr {
	var attrs []slog.Attr
	if _, named := fields["actor"]; !named {
		attrs = append(attrs, slog.String("actor", id.String()))
	}
	var keys []string
	for key := range fields {
		if !slices.Contains(known, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		attrs = append(attrs, slog.Any(key, fields[key]))
	}
	return attrs
}

func first(fields map[string]any, keys ...string) string {
	for _, key := range keys {
		if s, ok := fields[key].(string); ok {
			return s
		}
	}
	return ""
}

// levels are the names that slog and hclog print.
var levels = map[string]slog.Level{
	"trace": slog.LevelDebug - 4, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warn": slog.LevelWarn, "error": slog.LevelError,
}

func parseLevel(name string) (slog.Level, bool) {
	if level, ok := levels[strings.ToLower(name)]; ok {
		return level, true
	}
	var level slog.Level
	return level, name != "" && level.UnmarshalText([]byte(name)) == nil // "WARN+1"
}

// bridge gives go-plugin an hclog logger that ends in slog. What go-plugin calls
// an error is a detail here: the host reports failures itself.
func bridge(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: nothing{}, Level: hclog.Debug})
	l.RegisterSink(sink{log})
	return l
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

type sink struct{ log *slog.Logger }

// Accept takes one record of go-plugin.
func (s sink) Accept(_ string, _ hclog.Level, msg string, args ...any) {
	s.log.Debug("go-plugin: "+msg, args...)
}
