package telemetry

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Record is one thing that an actor has logged or printed, or that has become of it. It is
// a copy, which nobody changes. What it says is the actor's word, apart from Actor: that is
// its host's. Texts may hold anything: whoever shows them on a terminal escapes them.
type Record struct {
	Time time.Time `json:"time"`
	// Actor is the path of the actor, as in directory.Event; "" is the root of the tree.
	Actor string     `json:"actor,omitempty"`
	Level slog.Level `json:"level"`
	Text  string     `json:"text"`
	// Trace and Span are where it belongs, in hex as W3C's trace context has them; empty if
	// it belongs to no span.
	Trace  string  `json:"trace,omitempty"`
	Span   string  `json:"span,omitempty"`
	Fields []Field `json:"fields,omitempty"`
}

// Field is a name and a value of a record: a string, int64, uint64, float64 or bool. What slog
// has in a group is a field with the group's name in front, as in "request.size"; a value of
// another type is its text.
type Field struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// String is the text and the fields in one line, as in `parsed file="a b.go" lines=12`.
func (r *Record) String() string {
	var out strings.Builder
	out.WriteString(r.Text)
	for _, f := range r.Fields {
		out.WriteString(f.String())
	}
	return out.String()
}

func (f Field) String() string { return " " + bare(f.Key) + "=" + bare(fmt.Sprint(f.Value)) }

// bare is a text as it is if it is one word, and quoted if not.
func bare(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '=' }) {
		return strconv.Quote(text)
	}
	return text
}
