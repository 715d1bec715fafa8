package fault

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Pack takes err apart: it and all that it wraps, in one list. An error that came from
// elsewhere keeps its origin, and self is appended to its relays; any other arises in self.
// Packing never fails: what cannot be encoded arrives as its text, with a note. A tree of
// more than 1024 errors or 1 MiB is cut, with a note.
//
// The methods of err are its author's: no lock may be held that they could want. If
// they have not returned after a second, the error goes without them, with a note.
func Pack(err error, self actor.ID) *wire.Fault {
	if err == nil {
		return nil
	}
	return Ask(err, func() *wire.Fault { return pack(err, self) }, func() *wire.Fault {
		return &wire.Fault{Nodes: []*wire.Node{{
			Id: uuid.NewString(), Type: fmt.Sprintf("%T", err), Message: silent, Origin: wire.FromID(self),
			Note: "only its type is known: its methods did not return within " + patience.String(),
		}}}
	})
}

// pack is Pack without its patience. The list grows while the loop goes through it, which makes
// the walk one by levels: every error stands behind its parent, as [Unpack] and [parent] rely on.
//
// Only the root needs an id of its own. It is the whole failure that is recognised when it comes
// back (see [walk.same]); a cause that came from elsewhere has the id that it was given there.
func pack(err error, self actor.ID) *wire.Fault {
	p := packer{self: self, parts: []part{{err: err}}}
	for i := 0; i < len(p.parts); i++ { //nolint:intrange // they become more
		p.add(i)
	}
	p.inherit()
	if root := p.nodes[0]; root.Id == "" {
		root.Id = uuid.NewString()
	}
	trim(p.nodes)
	return &wire.Fault{Nodes: p.nodes}
}

// packer takes a tree apart, level by level, so that a large tree keeps what is near its
// root. The node of each part stands at the part's place. It lives for one call of pack, on
// the goroutine of [Ask].
type packer struct {
	self  actor.ID
	parts []part
	nodes []*wire.Node
}

// part is an error that is still to be taken apart, and its place in the tree.
type part struct {
	err     error
	parent  int
	also    bool // a failure of the clean-up after its parent
	relayed bool // it is below an error that came from elsewhere, and was relayed with it
}

// add makes the node of a part, and parts of what the error wraps. A settled error is replaced
// by its cause first, and it may hold another one: a failure that passes through several scopes
// gathers what failed in the clean-up of each.
func (p *packer) add(i int) {
	at := &p.parts[i]
	var also []error
	for s, ok := at.err.(*settled); ok; s, ok = at.err.(*settled) {
		at.err, also = s.cause, append(also, s.also...)
	}
	remote, ok := at.err.(*RemoteError)
	var n *wire.Node
	if ok {
		n = p.relay(remote, at.relayed)
	} else {
		n = p.describe(at.err)
	}
	n.Parent, n.Also = uint32(at.parent), at.also
	p.nodes = append(p.nodes, n)
	if ok {
		p.below(i, remote.orNil().causes, part{relayed: true})
		p.below(i, remote.orNil().also, part{relayed: true, also: true})
	} else {
		p.below(i, unwrap(p.parts[i].err), part{})
	}
	p.below(i, also, part{also: true})
}

// below adds what is below an error, as much as there is room for. This bound is also what ends
// the walk of an error that wraps itself.
func (p *packer) below(parent int, errs []error, as part) {
	keep := min(len(errs), maxErrors-len(p.parts))
	if left := len(errs) - keep; left > 0 {
		annotate(p.nodes[parent], fmt.Sprintf("a very large error: %d more causes, and all below them, were left out", left))
	}
	for _, err := range errs[:keep] {
		as.err, as.parent = err, parent
		p.parts = append(p.parts, as)
	}
}

// relay copies an error that came from elsewhere, and adds this actor to its path. The copy is
// necessary, as other goroutines may pack or print the same error at this moment.
//
// An actor is not added twice in a row, however many tasks of its own the error has passed
// through, nor to an error that arose in it and has come back. What is below a relayed error
// was relayed with it, and does not repeat its path.
func (p *packer) relay(e *RemoteError, relayed bool) *wire.Node {
	e = e.orNil()
	n := &wire.Node{}
	if e.node != nil {
		n = proto.CloneOf(e.node)
	}
	n.Type, n.Message, n.Origin, n.Stack = wire.Text(e.Type), wire.Text(e.Message), wire.FromID(e.Origin), wire.Text(e.Stack)
	n.Relays = nil
	for _, hop := range e.Relays {
		n.Relays = append(n.Relays, wire.FromID(hop))
	}
	last := len(n.Relays) - 1
	if !relayed && !n.Origin.ToID().Is(p.self) && (last < 0 || !n.Relays[last].ToID().Is(p.self)) {
		n.Relays = append(n.Relays, wire.FromID(p.self))
	}
	return n
}

// describe makes the node of an error that arose here: with what makes errors.Is, errors.As
// and status codes work at the far end.
func (p *packer) describe(err error) *wire.Node {
	n := &wire.Node{Type: fmt.Sprintf("%T", err), Message: wire.Text(text(err)), Origin: wire.FromID(p.self)}
	if e, ok := err.(*PanicError); ok && e != nil {
		n.Stack = wire.Text(e.Stack)
	}
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		n.Code = statusCode(s)
	}
	if n.Name = sentinelName(err); n.Name != "" {
		return n
	}
	name, fields := typed(err)
	if fields == nil {
		n.Note = "it is a nil pointer"
	}
	if name == "" {
		n.Name = claimedName(err)
		return n
	}
	// A type that is registered always has a detail, if only the head of an empty mapping:
	// the far end takes a name without a detail for that of a sentinel.
	detail, encErr := marshal(fields)
	switch {
	case encErr != nil:
		n.Note = wire.Text(fmt.Sprintf("the fields of %s could not be encoded: %s", name, text(encErr)))
	case len(detail) > maxSize/2:
		n.Note = fmt.Sprintf("the fields of %s, %d bytes, were left out", name, len(detail))
	default:
		n.Name, n.Detail = name, detail
	}
	return n
}

// inherit gives an error that only wraps a remote one the origin and path of what
// it wraps: a relay that adds a few words is not where the failure arose.
//
// It goes from the last node to the first, so that the origin rises through any number of
// wrappers. An error with several causes arises where it is put together, because no one of
// these origins would be right for it; failures of a clean-up do not count as causes here.
func (p *packer) inherit() {
	only, several := make([]*wire.Node, len(p.nodes)), &wire.Node{} // the one cause of each, nil if there is none
	for i, n := range slices.Backward(p.nodes) {
		_, remote := p.parts[i].err.(*RemoteError)
		if from := only[i].GetOrigin(); !remote && from != nil && !from.ToID().Is(p.self) {
			n.Origin, n.Relays = from, slices.Clone(only[i].Relays)
		}
		if up := p.parts[i].parent; only[up] == nil && !n.Also {
			only[up] = n
		} else if !n.Also {
			only[up] = several
		}
	}
}

// IsDeadline reports whether an error that came over the wire says nothing but that a
// deadline has passed. It calls no method of an error, because a link's reader asks it, under the
// lock of the dialog that the error is for. Only the leaves of the tree are looked at: what wraps
// them adds words.
func IsDeadline(f *wire.Fault) bool { return saysOnly(f, "context.DeadlineExceeded") }

// IsCancelled is IsDeadline for a cancel.
func IsCancelled(f *wire.Fault) bool {
	return saysOnly(f, "context.Canceled", "trellis.ContextCancelled")
}

func saysOnly(f *wire.Fault, names ...string) bool {
	nodes := f.GetNodes()
	wraps := make([]bool, len(nodes)) // known of a node when the walk comes to it, from the end
	for i, n := range slices.Backward(nodes) {
		if n.Also || !wraps[i] && !slices.Contains(names, n.Name) {
			return false
		}
		wraps[parent(n, i)] = true
	}
	return len(nodes) > 0
}

// parent is the place of the error that the one at place i belongs to. One that names a place
// behind its own belongs to the root. A peer may write any number there; since each error comes
// after the one that it belongs to, no list of nodes can make a cycle.
func parent(n *wire.Node, i int) int {
	if uint64(n.Parent) < uint64(i) {
		return int(n.Parent)
	}
	return 0
}
