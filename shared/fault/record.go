package fault

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Bounds of a record, so that no error, however made, floods a link.
const (
	maxDepth = 32
	maxNodes = 256
	maxText  = 32 << 10 // bytes of one message or stack
)

// Record is an error taken apart for its way between processes: a tree of causes.
type Record struct {
	ID      string // one failure, one id, however often it is relayed
	Type    string // the error's type in the language where it arose
	Message string
	Origin  actor.ID
	Relays  []actor.ID // who passed it on, first one first
	Stack   string
	Causes  []*Record // what it wraps; more than one for joined errors
	Name    string    // of the registered sentinel or type
	Detail  []byte    // a registered type's fields, CBOR; nil for a sentinel
	Code    uint32    // gRPC status code plus one; 0 is none
	Also    []*Record // failures of the clean-up that followed
	Note    string    // what could not be encoded, and why
}

// Pack takes err apart. An error that came from elsewhere keeps its origin, and
// self is appended to its relays; any other arises in self. Packing never fails:
// what cannot be encoded arrives as its text, with a note.
func Pack(err error, self actor.ID) *Record {
	if err == nil {
		return nil
	}
	p := packer{self: self, nodes: maxNodes}
	r := p.pack(err, maxDepth)
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	return r
}

type packer struct {
	self  actor.ID
	nodes int
}

func (p *packer) pack(err error, depth int) *Record {
	p.nodes--
	switch e := err.(type) { //nolint:errorlint // taken apart node by node
	case *RemoteError:
		return p.relay(e.record)
	case *settled:
		r := p.pack(e.cause, depth-1)
		r.Also = append(slices.Clone(r.Also), p.packAll(e.also, depth-1)...)
		return r
	}
	r := &Record{Type: fmt.Sprintf("%T", err), Message: clip(text(err)), Origin: p.self}
	p.describe(r, err)
	r.Causes = p.packAll(unwrap(err), depth-1)
	r.inherit(p.self)
	return r
}

// relay copies a record that came from elsewhere and adds this actor to its path.
func (p *packer) relay(r *Record) *Record {
	c := *r
	if n := len(c.Relays); !c.Origin.Is(p.self) && (n == 0 || !c.Relays[n-1].Is(p.self)) {
		c.Relays = append(slices.Clone(c.Relays), p.self)
	}
	return &c
}

func (p *packer) packAll(errs []error, depth int) []*Record {
	var out []*Record
	for _, err := range errs {
		if err == nil {
			continue
		}
		if depth <= 0 || p.nodes <= 0 {
			out = append(out, &Record{Message: "…", Origin: p.self, Note: "the rest of a very large error was left out"})
			break
		}
		out = append(out, p.pack(err, depth))
	}
	return out
}

// describe fills in what makes errors.Is, errors.As and status codes work at the
// far end.
func (p *packer) describe(r *Record, err error) {
	if pe, ok := err.(*PanicError); ok && pe != nil { //nolint:errorlint // this node only
		r.Stack = clip(pe.Stack)
	}
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok { //nolint:errorlint // this node only
		r.Code = statusCode(s)
	}
	if r.Name = sentinelName(err); r.Name != "" {
		return
	}
	name := typeName(err)
	if name == "" {
		return
	}
	detail, encErr := marshal(err)
	if encErr != nil {
		r.Note = fmt.Sprintf("the fields of %s could not be encoded: %v", name, encErr)
		return
	}
	r.Name, r.Detail = name, detail
}

// inherit gives an error that only wraps a remote one the origin and path of what
// it wraps: a relay that adds a few words is not where the failure arose.
func (r *Record) inherit(self actor.ID) {
	if len(r.Causes) == 1 && !r.Causes[0].Origin.Is(self) {
		r.Origin, r.Relays = r.Causes[0].Origin, r.Causes[0].Relays
	}
}

func marshal(v any) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // an author's MarshalCBOR
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return cbor.Marshal(v)
}

func statusCode(s interface{ GRPCStatus() *status.Status }) (code uint32) {
	defer func() { _ = recover() }() // an author's GRPCStatus; no code then
	if st := s.GRPCStatus(); st != nil && st.Code() != codes.OK {
		return uint32(st.Code()) + 1
	}
	return 0
}

// text is err.Error() that cannot fail and is valid UTF-8.
func text(err error) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("%T whose Error method panicked: %v", err, p)
		}
	}()
	return strings.ToValidUTF8(err.Error(), "\uFFFD")
}

// unwrap gives what err wraps directly, whichever form it has.
func unwrap(err error) (causes []error) {
	defer func() {
		if recover() != nil { // an author's Unwrap
			causes = nil
		}
	}()
	switch e := err.(type) { //nolint:errorlint // both forms of Unwrap
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return []error{inner}
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + fmt.Sprintf("… (%d bytes more)", len(s)-cut)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
