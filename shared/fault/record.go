package fault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-2ba35074/trellis/shared/actor"
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
// what cannot be encoded arrives as its text, with a note. What is too large is
// cut, with a note: at 32 levels, 1024 errors, 32 KiB of one text and 1 MiB in all.
//
// The methods of err are its author's: no lock may be held that they could want. If
// they have not returned after a second, the error goes without them, with a note.
func Pack(err error, self actor.ID) *Record {
	if err == nil {
		return nil
	}
	return Ask(err, func() *Record { return pack(err, self) }, func() *Record {
		return &Record{
			ID: uuid.NewString(), Type: fmt.Sprintf("%T", err), Message: silent, Origin: self,
			Note: "only its type is known: its methods did not return within " + patience.String(),
		}
	})
}

func pack(err error, self actor.ID) *Record {
	p := packer{self: self, budget: sent()}
	r := p.pack(err)
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	return r
}

// IsDeadline reports whether the error says nothing but that a deadline has passed.
// It looks at what came over the wire and calls no method of an error.
func (r *Record) IsDeadline() bool {
	if r.Name == "context.DeadlineExceeded" {
		return len(r.Also) == 0
	}
	for _, c := range r.Causes {
		if !c.IsDeadline() {
			return false
		}
	}
	return len(r.Causes) > 0 && len(r.Also) == 0
}

type packer struct {
	budget

	self actor.ID
}

func (p *packer) pack(err error) *Record {
	switch e := err.(type) {
	case *RemoteError:
		return p.relay(e.rec())
	case *settled:
		all := append([]error{e.cause}, e.also...)
		parts := p.each(len(all), func(i int) *Record { return p.pack(all[i]) })
		r := parts[0]
		r.Also = append(r.Also, parts[1:]...)
		return r
	}
	p.nodes--
	r := &Record{Type: p.text(fmt.Sprintf("%T", err)), Message: p.text(text(err)), Origin: p.self}
	p.describe(r, err)
	causes := unwrap(err)
	r.Causes = p.each(len(causes), func(i int) *Record { return p.pack(causes[i]) })
	r.inherit(p.self)
	return r
}

// relay copies a record that came from elsewhere and adds this actor to its path.
func (p *packer) relay(r *Record) *Record {
	c := p.trim(r)
	n := len(c.Relays)
	if !c.Origin.Is(p.self) && (n == 0 || !c.Relays[n-1].Is(p.self)) && n < maxRelays {
		c.Relays = append(c.Relays, p.self)
	}
	return c
}

// describe fills in what makes errors.Is, errors.As and status codes work at the
// far end.
func (p *packer) describe(r *Record, err error) {
	if pe, ok := err.(*PanicError); ok && pe != nil {
		r.Stack = p.text(pe.Stack)
	}
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		r.Code = statusCode(s)
	}
	if r.Name = sentinelName(err); r.Name != "" {
		return
	}
	name, fields := typed(err)
	if fields == nil {
		r.Note = "it is a nil pointer"
	}
	if name == "" {
		r.Name = claimedName(err)
		return
	}
	detail, encErr := marshal(fields)
	switch {
	case encErr != nil:
		r.Note = p.text(fmt.Sprintf("the fields of %s could not be encoded: %s", name, text(encErr)))
	case !p.detail(len(detail)):
		r.Note = fmt.Sprintf("the fields of %s, %d bytes, were left out", name, len(detail))
	default:
		r.Name, r.Detail = name, detail
	}
}

// inherit gives an error that only wraps a remote one the origin and path of what
// it wraps: a relay that adds a few words is not where the failure arose.
func (r *Record) inherit(self actor.ID) {
	if len(r.Causes) == 1 && !r.Causes[0].Origin.IsZero() && !r.Causes[0].Origin.Is(self) {
		r.Origin, r.Relays = r.Causes[0].Origin, slices.Clone(r.Causes[0].Relays)
	}
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
		s = strings.ToValidUTF8(s, "\uFFFD")
	}()
	return err.Error()
}

// unwrap gives what err wraps directly, whichever form it has, without nils.
func unwrap(err error) (causes []error) {
	defer func() {
		if recover() != nil { // an author's Unwrap
			causes = nil
		}
	}()
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		causes = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		causes = slices.Clone(e.Unwrap())
	}
	return slices.DeleteFunc(causes, func(err error) bool { return err == nil })
}
