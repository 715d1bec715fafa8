package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	kept "github.com/seed-2ba35074/trellis/internal/records"
	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// style is how records become lines for people. The zero style is for what is no terminal: nothing is cut or coloured.
type style struct {
	columns func() int // of the terminal at the moment; nil: nothing is cut
	colour  bool
}

// styleOf is the style for what is written to w.
func styleOf(w io.Writer) style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return style{}
	}
	columns := func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return width
	}
	return style{columns, os.Getenv("NO_COLOR") == ""} //nolint:misspell // the name of the variable
}

// The colours, as terminals have them.
const (
	dim    = "2"
	red    = "31"
	yellow = "33"
	green  = "32"
	cyan   = "36"
)

func colourOf(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	}
	return dim
}

// line is a record in one line: short time, level, actor, message, then fields. What it says is from outside, and is
// made harmless before it is coloured.
func (s style) line(r *telemetry.Record) string {
	return s.cut([]piece{
		{dim, r.Time.Local().Format("15:04:05.000 ")}, {colourOf(r.Level), fmt.Sprintf("%-5s ", r.Level)},
		{cyan, terminal.Line(orRoot(r.Actor))}, {"", "  " + terminal.Line(r.Text)},
		{dim, terminal.Line(strings.TrimPrefix(r.String(), r.Text))},
	})
}

// screen is where records are printed for people.
type screen struct {
	w        io.Writer
	style    style
	terminal *os.File // nil if it is none that can be drawn on
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, style: styleOf(w)}
	if f, ok := w.(*os.File); ok && s.style.columns != nil {
		s.terminal = f
	}
	return s
}

func (s *screen) print(r *telemetry.Record) error {
	_, err := io.WriteString(s.w, s.style.line(r)+"\n")
	return err
}

// piece is a part of a line, which is harmless, in one colour.
type piece struct{ colour, text string }

// cut is a line of pieces, which ends with … if the terminal has fewer columns.
func (s style) cut(pieces []piece) string {
	length, room := 0, 0
	for _, p := range pieces {
		length += utf8.RuneCountInString(p.text)
	}
	if s.columns != nil {
		room = s.columns()
	}
	if room > 0 && length > room {
		pieces = append(shortened(pieces, room-1), piece{dim, "…"})
	}
	var out strings.Builder
	for _, p := range pieces {
		if s.colour && p.colour != "" && p.text != "" {
			p.text = "\x1b[" + p.colour + "m" + p.text + "\x1b[0m"
		}
		out.WriteString(p.text)
	}
	return out.String()
}

// shortened are the pieces that have so many characters together.
func shortened(pieces []piece, room int) (short []piece) {
	for _, p := range pieces {
		runes := []rune(p.text)
		p.text = string(runes[:min(room, len(runes))])
		room -= min(room, len(runes))
		short = append(short, p)
	}
	return short
}

// people is a handler of slog's that prints lines for people, above what is redrawn.
type people struct {
	to    *progress
	level slog.Level
	wrap  func([]slog.Attr) []slog.Attr // with what loggers add: attributes and groups
}

// Enabled reports whether a level is logged.
func (h people) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle prints a record.
func (h people) Handle(_ context.Context, r slog.Record) error {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	out := kept.Of(r.Time, r.Level, r.Message, h.wrap(attrs))
	out.Fields = slices.DeleteFunc(out.Fields, func(f telemetry.Field) bool {
		actor, is := f.Value.(string)
		if is = is && f.Key == "actor" && out.Actor == ""; is {
			out.Actor = actor
		}
		return is || f.Key == ""
	})
	return h.to.above(h.to.style.line(&out) + "\n")
}

// WithAttrs is this handler for a logger with more attributes.
func (h people) WithAttrs(more []slog.Attr) slog.Handler {
	wrap := h.wrap
	h.wrap = func(attrs []slog.Attr) []slog.Attr { return wrap(slices.Concat(more, attrs)) }
	return h
}

// WithGroup is this handler for a logger whose next attributes are in a group.
func (h people) WithGroup(name string) slog.Handler {
	wrap := h.wrap
	h.wrap = func(attrs []slog.Attr) []slog.Attr { return wrap([]slog.Attr{slog.GroupAttrs(name, attrs...)}) }
	return h
}

// logHandler is how the command logs: "auto" is logfmt here.
func (p *program) logHandler(format string, level slog.Level) (slog.Handler, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "pretty":
		return people{p.progress, level, func(attrs []slog.Attr) []slog.Attr { return attrs }}, nil
	case "json":
		return slog.NewJSONHandler(p.progress, options), nil
	case "logfmt", "auto":
		return slog.NewTextHandler(p.progress, options), nil
	}
	return nil, &usageError{fmt.Errorf("--log-format or TRELLIS_LOG_FORMAT: expected auto, pretty, logfmt or json, got %q", format)}
}
