package fault

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/internal/terminal"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// RemoteError is an error that arose in another actor. Error is one line; the
// verb %+v prints the whole story: type, origin, every hop, causes and stack.
//
// It belongs to whoever received it, and may be read, printed and relayed by any number of
// goroutines: nothing in it changes after Unpack but standIn, which is set once. A program may
// also make one by hand, from the exported fields alone, as tests do; and it may be a nil pointer
// in an error interface, which is why the methods ask for that (see orNil).
type RemoteError struct {
	Type    string     // the original error's type, as its language names it
	Message string     // the original text
	Origin  actor.ID   // where it arose
	Relays  []actor.ID // who passed it on, first one first
	Stack   string     // of the panic, if it was one

	node    *wire.Node              // what else has come; nil if it was made by hand
	standIn atomic.Pointer[standIn] // nil until somebody has looked
	causes  []error                 // what the original wrapped
	also    []error                 // what failed in the clean-up after it
}

// standIn is what a remote error stands for in this process.
type standIn struct {
	errs []error // none if this process does not know it; two if it may be used by value
	note string  // why there is none
}

// Unpack puts an error together again, of a fault that is its own then. The result is never
// nil. What is larger than anything that Pack makes is cut, with a note.
//
// It runs no code of an error's author and may be called on a link's reader: a
// registered type's fields are read, once, by whoever first looks inside.
func Unpack(f *wire.Fault) error {
	nodes := bounded(f)
	all := make([]*RemoteError, len(nodes))
	for i, n := range nodes {
		all[i] = unpack(n)
		if i == 0 {
			continue
		}
		up := all[parent(n, i)]
		if n.Also {
			up.also = append(up.also, all[i])
		} else {
			up.causes = append(up.causes, all[i])
		}
	}
	return all[0]
}

// bounded is what a peer may have said of an error, without what is over the bounds. There
// is at least one node.
func bounded(f *wire.Fault) []*wire.Node {
	nodes := f.GetNodes()
	if len(nodes) == 0 {
		nodes = []*wire.Node{{}}
	}
	if more := len(nodes) - maxErrors; more > 0 {
		annotate(nodes[0], fmt.Sprintf("a very large error: %d of its causes were left out", more))
		nodes = nodes[:maxErrors]
	}
	trim(nodes)
	return nodes
}

// Relay is an error that passes through an actor on its way between others: within the
// bounds, and with that actor among its relays. f is the result's then.
func Relay(f *wire.Fault, self actor.ID) *wire.Fault {
	nodes := bounded(f)
	if root := nodes[0]; len(root.Relays) < maxRelays {
		root.Relays = append(root.Relays, wire.FromID(self))
	}
	return &wire.Fault{Nodes: nodes, Refused: f.GetRefused()}
}

// unpack gives one error, without what is below it.
func unpack(n *wire.Node) *RemoteError {
	e := &RemoteError{Type: n.Type, Message: n.Message, Origin: n.Origin.ToID(), Stack: n.Stack, node: n}
	for _, hop := range n.Relays {
		e.Relays = append(e.Relays, hop.ToID())
	}
	return e
}

// local is what the error stands for here. It is made when somebody first asks, since most
// errors are only printed or passed on, and since Unpack may run on a link's reader, which no
// author's UnmarshalCBOR may hold up. No lock is held while the fields are read, so that an
// UnmarshalCBOR may do what it likes. Two goroutines may read them at the same time; the first
// result stays, so that errors.As gives everyone the same pointer.
func (e *RemoteError) local() *standIn {
	if e.node == nil {
		return &standIn{}
	}
	if s := e.standIn.Load(); s != nil {
		return s
	}
	e.standIn.CompareAndSwap(nil, revive(e.node))
	return e.standIn.Load()
}

// orNil is the error itself, or what stands for a nil pointer.
func (e *RemoteError) orNil() *RemoteError {
	if e == nil {
		return &RemoteError{Type: fmt.Sprintf("%T", e), Message: "<nil>"}
	}
	return e
}

// ID names the failure: it stays the same however often it is relayed. That is how an actor
// recognises its own failure when a task that it told to end reports it back. A RemoteError that
// was made by hand has none.
func (e *RemoteError) ID() string { return e.orNil().node.GetId() }

// Error says where it arose and what happened, in one line.
func (e *RemoteError) Error() string {
	e = e.orNil()
	return oneLine(e.Origin.String() + ": " + e.Message)
}

// Unwrap returns the local error it stands for, if this process knows it, and what
// the original error wrapped. The local one comes first, so that errors.As finds the error
// itself before a cause of the same type.
func (e *RemoteError) Unwrap() []error {
	e = e.orNil()
	return slices.Concat(e.local().errs, e.causes, e.also)
}

// GRPCStatus makes status.FromError and status.Code work: the code of the first
// status error in the tree, else Unknown.
func (e *RemoteError) GRPCStatus() *status.Status {
	return status.New(e.statusCode(), e.Error())
}

// statusCode goes down the causes, and not into what failed in the clean-up: a code says what
// the failure is. The number is the peer's, and one that gRPC does not have is not passed on.
func (e *RemoteError) statusCode() codes.Code {
	e = e.orNil()
	if code := codes.Code(e.node.GetCode() - 1); code != codes.OK && code <= codes.Unauthenticated {
		return code
	}
	for _, c := range e.causes {
		if code := c.(*RemoteError).statusCode(); code != codes.Unknown {
			return code
		}
	}
	return codes.Unknown
}

// Format prints the whole story for %+v, and Error for everything else.
func (e *RemoteError) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('+'):
		var all strings.Builder
		if e.orNil().story(&all, ""); all.Len() > maxStory {
			_, _ = io.WriteString(f, strings.ToValidUTF8(all.String()[:maxStory], "")+"\n… (the story goes on)")
			return
		}
		_, _ = io.WriteString(f, all.String())
	case verb == 'q':
		_, _ = fmt.Fprintf(f, "%q", e.Error())
	default:
		_, _ = io.WriteString(f, e.Error())
	}
}

// maxStory bounds what %+v prints, in bytes: indentation makes much of little.
const maxStory = 4 << 20

// mostIndent is how far a story is indented, in columns: what lies deeper stands under it.
const mostIndent = 80

// story writes the error and all below it, indented. Like any other text of an error, it
// does not end with a line break. All of it comes from peers, and most of it is read on a
// terminal, so each line is stripped of what could move the cursor or set a colour.
func (e *RemoteError) story(w *strings.Builder, indent string) {
	line := func(format string, args ...any) {
		if w.Len() > 0 {
			w.WriteByte('\n')
		}
		w.WriteString(terminal.Text(fmt.Sprintf(indent+format, args...)))
	}
	if w.Len() > maxStory {
		return
	}
	line("%s: %s", terminal.Line(cmp.Or(e.Type, "error")), strings.ReplaceAll(e.Message, "\n", "\n"+indent+"  "))
	if !e.Origin.IsZero() {
		line("  arose in %s (pid %d)", terminal.Line(e.Origin.String()), e.Origin.PID)
	}
	for _, hop := range e.Relays {
		line("  relayed by %s (pid %d)", terminal.Line(hop.String()), hop.PID)
	}
	if note := addNote(e.node.GetNote(), e.local().note); note != "" { // what could not be encoded, or not be read here
		line("  note: %s", oneLine(note))
	}
	if e.Stack != "" {
		line("  stack:\n%s", indentLines(e.Stack, indent+"    "))
	}
	below := indent
	if len(indent) < mostIndent {
		below += "    "
	}
	for _, c := range e.causes {
		line("  caused by")
		c.(*RemoteError).story(w, below)
	}
	for _, c := range e.also {
		line("  and while cleaning up")
		c.(*RemoteError).story(w, below)
	}
}

func indentLines(s, indent string) string {
	return indent + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+indent)
}

// oneLine joins the lines of a text, whatever it is that ends them, into one that
// a terminal can only show.
func oneLine(s string) string {
	return terminal.Line(strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return strings.ContainsRune("\n\v\f\r\u0085\u2028\u2029", r)
	}), "; "))
}
