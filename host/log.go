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
	log   *slog.Logger
	id    actor.ID
	hosts bool // the child has actors of its own, whose lines come through it
}

func newLogger(log *slog.Logger, id actor.ID, hosts bool) *logger {
	return &logger{log: log, id: id, hosts: hosts}
}

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
	record.AddAttrs(l.attributes(fields)...)
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

// Attributes that name an actor. The first is the host's word alone.
const (
	actorKey = "actor"
	// claimKey keeps what a child that hosts nobody says under actorKey.
	claimKey = "plugin.actor"
)

// attributes are the child's name and the record's other fields, sorted by name.
func (l *logger) attributes(fields map[string]any) []slog.Attr {
	attrs := []slog.Attr{slog.String(actorKey, l.speaker(fields))}
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

// speaker names the actor that a record comes from: the child, or one below it if the
// child hosts actors and says so: "mid@0e1f2a3b/leaf@11223344". No child can speak in the
// name of an actor that is not below it. A claim that does not count stays in fields, under
// another key.
func (l *logger) speaker(fields map[string]any) string {
	self := l.id.String()
	claim, named := fields[actorKey]
	if !named {
		return self
	}
	delete(fields, actorKey)
	below, isText := claim.(string)
	switch {
	case isText && below == self:
	case isText && below != "" && l.hosts:
		return self + "/" + below
	default:
		fields[claimKey] = claim
	}
	return self
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
