package fault

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

	record *Record
	causes []error
}

// Unpack puts an error together again. The result is never nil.
func (r *Record) Unpack() error {
	e := &RemoteError{
		Type: r.Type, Message: r.Message, Origin: r.Origin, Relays: r.Relays, Stack: r.Stack,
		record: r,
	}
	if local := revive(r); local != nil {
		e.causes = append(e.causes, local)
	}
	for _, c := range r.Causes {
		e.causes = append(e.causes, c.Unpack())
	}
	for _, c := range r.Also {
		e.causes = append(e.causes, c.Unpack())
	}
	return e
}

// ID names the failure: it stays the same however often it is relayed.
func (e *RemoteError) ID() string { return e.record.ID }

// Error says where it arose and what happened, in one line.
func (e *RemoteError) Error() string {
	return e.Origin.String() + ": " + oneLine(e.Message)
}

// Unwrap gives the local error it stands for, if this process knows it, and what
// the original error wrapped.
func (e *RemoteError) Unwrap() []error { return e.causes }

// GRPCStatus makes status.FromError and status.Code work: the code of the first
// status error in the tree, else Unknown.
func (e *RemoteError) GRPCStatus() *status.Status {
	return status.New(e.record.statusCode(), e.Error())
}

func (r *Record) statusCode() codes.Code {
	if r.Code != 0 {
		return codes.Code(r.Code - 1)
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
		e.record.story(f, "")
	case verb == 'q':
		_, _ = fmt.Fprintf(f, "%q", e.Error())
	default:
		_, _ = io.WriteString(f, e.Error())
	}
}

// story writes the record and all below it, indented. A write that fails is fmt's
// to report.
func (r *Record) story(w io.Writer, indent string) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, indent+format+"\n", args...) }
	line("%s: %s", orUnknown(r.Type), strings.ReplaceAll(r.Message, "\n", "\n"+indent+"  "))
	line("  arose in %s (pid %d)", r.Origin, r.Origin.PID)
	for _, hop := range r.Relays {
		line("  relayed by %s (pid %d)", hop, hop.PID)
	}
	if r.Note != "" {
		line("  note: %s", r.Note)
	}
	if r.Stack != "" {
		line("  stack:\n%s", indentLines(r.Stack, indent+"    "))
	}
	for _, c := range r.Causes {
		line("  caused by")
		c.story(w, indent+"    ")
	}
	for _, c := range r.Also {
		line("  and while cleaning up")
		c.story(w, indent+"    ")
	}
}

func orUnknown(typ string) string {
	if typ == "" {
		return "error"
	}
	return typ
}

func indentLines(s, indent string) string {
	return indent + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+indent)
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
