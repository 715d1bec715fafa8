package fault

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// RemoteError is an error that arose in another actor. Error is one line; the
// verb %+v prints the whole story: type, origin, every hop, causes and stack.
type RemoteError struct {
	Type    string     // the original error's type, as its language names it
	Message string     // the original text
	Origin  actor.ID   // where it arose
	Relays  []actor.ID // who passed it on, first one first
	Stack   string     // of the panic, if it was one

	record  *Record
	standIn atomic.Pointer[standIn] // nil until somebody has looked
	causes  []error                 // what the original wrapped
	also    []error                 // what failed in the clean-up after it
}

// standIn is what a remote error stands for in this process.
type standIn struct {
	errs []error // none if this process does not know it; two if it may be used by value
	note string  // why there is none
}

// Unpack puts an error together again. The result is never nil. What is larger
// than anything that Pack makes is cut, with a note.
//
// It runs no code of an error's author and may be called on a link's reader: a
// registered type's fields are read, once, by whoever first looks inside.
func (r *Record) Unpack() error { return received().trim(r).unpack() }

func (r *Record) unpack() *RemoteError {
	e := &RemoteError{
		Type: r.Type, Message: r.Message, Origin: r.Origin, Relays: r.Relays, Stack: r.Stack,
		record: r,
	}
	for _, c := range r.Causes {
		e.causes = append(e.causes, c.unpack())
	}
	for _, c := range r.Also {
		e.also = append(e.also, c.unpack())
	}
	return e
}

// local is what the error stands for here. No lock is held while the fields are read, so that an UnmarshalCBOR may do what it
// likes; the first result stays.
func (e *RemoteError) local() *standIn {
	if e == nil || e.record == nil {
		return &standIn{}
	}
	if s := e.standIn.Load(); s != nil {
		return s
	}
	e.standIn.CompareAndSwap(nil, revive(e.record))
	return e.standIn.Load()
}

// rec is what the error was made of. One that was made by hand has no more than
// its fields.
func (e *RemoteError) rec() *Record {
	switch {
	case e == nil:
		return &Record{Type: fmt.Sprintf("%T", e), Message: "<nil>"}
	case e.record == nil:
		return &Record{Type: e.Type, Message: e.Message, Origin: e.Origin, Relays: e.Relays, Stack: e.Stack}
	}
	return e.record
}

// ID names the failure: it stays the same however often it is relayed.
func (e *RemoteError) ID() string { return e.rec().ID }

// Error says where it arose and what happened, in one line.
func (e *RemoteError) Error() string {
	r := e.rec()
	return oneLine(r.Origin.String() + ": " + r.Message)
}

// Unwrap gives the local error it stands for, if this process knows it, and what
// the original error wrapped.
func (e *RemoteError) Unwrap() []error {
	return slices.Concat(e.local().errs, e.causes, e.also)
}

// GRPCStatus makes status.FromError and status.Code work: the code of the first
// status error in the tree, else Unknown.
func (e *RemoteError) GRPCStatus() *status.Status {
	return status.New(e.rec().statusCode(), e.Error())
}

func (r *Record) statusCode() codes.Code {
	if code := codes.Code(r.Code - 1); r.Code != 0 && code != codes.OK && code <= codes.Unauthenticated {
		return code
	}
	for _, c := range r.Causes {
		if code := c.statusCode(); code != codes.Unknown {
			return code
		}
	}
	return codes.Unknown
}

// Format prints the whole story for %+v, and Error for everything else.
func (e *RemoteError) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('+'):
		e.story(&limited{w: f, left: maxStory}, "")
	case verb == 'q':
		_, _ = fmt.Fprintf(f, "%q", e.Error())
	default:
		_, _ = io.WriteString(f, e.Error())
	}
}

// maxStory bounds what %+v prints, in bytes: indentation makes much of little.
const maxStory = 4 << 20

// limited is a writer that ends a story which is too long. A write that fails is
// fmt's to report.
type limited struct {
	w     io.Writer
	left  int
	begun bool // a line has been written
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left <= 0 {
		return len(p), nil
	}
	if l.left -= len(p); l.left <= 0 {
		_, _ = io.WriteString(l.w, "\n… (the story goes on)")
		return len(p), nil
	}
	return l.w.Write(p)
}

// story writes the error and all below it, indented. Like any other text of an error, it
// does not end with a line break.
func (e *RemoteError) story(w *limited, indent string) {
	if w.left <= 0 {
		return
	}
	r := e.rec()
	line := func(format string, args ...any) {
		text := fmt.Sprintf(indent+format, args...)
		if w.begun {
			text = "\n" + text
		}
		w.begun = true
		_, _ = io.WriteString(w, terminal.Text(text))
	}
	line("%s: %s", terminal.Line(orUnknown(r.Type)), strings.ReplaceAll(r.Message, "\n", "\n"+indent+"  "))
	if !r.Origin.IsZero() {
		line("  arose in %s (pid %d)", terminal.Line(r.Origin.String()), r.Origin.PID)
	}
	for _, hop := range r.Relays {
		line("  relayed by %s (pid %d)", terminal.Line(hop.String()), hop.PID)
	}
	if note := e.note(); note != "" {
		line("  note: %s", oneLine(note))
	}
	if r.Stack != "" {
		line("  stack:\n%s", indentLines(r.Stack, indent+"    "))
	}
	if e == nil {
		return
	}
	for _, c := range e.causes {
		line("  caused by")
		c.(*RemoteError).story(w, indent+"    ")
	}
	for _, c := range e.also {
		line("  and while cleaning up")
		c.(*RemoteError).story(w, indent+"    ")
	}
}

// note is what could not be encoded, or not be read here, and why.
func (e *RemoteError) note() string { return addNote(e.rec().Note, e.local().note) }

func orUnknown(typ string) string {
	if typ == "" {
		return "error"
	}
	return typ
}

func indentLines(s, indent string) string {
	return indent + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+indent)
}

// oneLine joins the lines of a text, whatever it is that ends them, into one that
// a terminal can only show.
func oneLine(s string) string {
	return terminal.Line(strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		switch r {
		case '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029':
			return true
		}
		return false
	}), "; "))
}
