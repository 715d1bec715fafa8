package fault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Bounds of a record, so that no error, however made, floods a link or a log.
const (
	maxDepth  = 32
	maxNodes  = 1024
	maxBytes  = 1 << 20   // texts and details of all nodes together
	maxText   = 32 << 10  // bytes of one message or stack
	minText   = 256       // what a text keeps when maxBytes is used up
	maxDetail = 256 << 10 // bytes of one typed error's fields
	maxRelays = 64        // of one error
	maxHops   = 4 << 10   // relays of all nodes together
)

// budget is what may still be kept of an error tree. Siblings share it evenly, and
// what one leaves goes to those after it: a large first cause never pushes out the
// others, so that the count of a group's failures stays what it was.
type budget struct{ nodes, bytes, depth, hops int }

// sent bounds what Pack makes.
func sent() budget {
	return budget{nodes: maxNodes, bytes: maxBytes, depth: maxDepth, hops: maxHops}
}

// received bounds what a peer has sent. It lets pass whatever Pack makes.
func received() *budget {
	return &budget{nodes: 2 * maxNodes, bytes: 3 * maxBytes, depth: maxDepth + 2, hops: 2 * maxHops}
}

// each calls f for n children, each within its share, and ends the list with a
// record that says how many were left out.
func (b *budget) each(n int, f func(i int) *Record) []*Record {
	keep := n
	if b.depth <= 0 {
		keep = 0
	} else if n > b.nodes {
		keep = max(0, b.nodes-1)
	}
	var out []*Record
	rest := *b
	for i := range keep {
		b.nodes, b.bytes, b.depth = rest.nodes/(keep-i), rest.bytes/(keep-i), rest.depth-1
		rest.nodes, rest.bytes = rest.nodes-b.nodes, rest.bytes-b.bytes
		out = append(out, f(i))
		rest.nodes, rest.bytes, rest.hops = rest.nodes+b.nodes, rest.bytes+b.bytes, b.hops
	}
	*b = rest
	if keep < n {
		out = append(out, &Record{Message: ellipsis, Note: fmt.Sprintf("a very large error: %d more causes, and all below them, were left out", n-keep)})
	}
	return out
}

// ellipsis is the message of a record that stands for others.
const ellipsis = "…"

func (r *Record) isEllipsis() bool {
	return r != nil && r.Message == ellipsis && r.Origin.IsZero() && len(r.Causes)+len(r.Also) == 0
}

// text is s as valid UTF-8, cut to what may be kept of it.
func (b *budget) text(s string) string {
	s = words.Clip(strings.ToValidUTF8(s, "\uFFFD"), max(minText, min(maxText, b.bytes)))
	b.bytes -= len(s)
	return s
}

// detail reports whether that many bytes of fields may be kept.
func (b *budget) detail(n int) bool {
	if n > min(maxDetail, b.bytes) {
		return false
	}
	b.bytes -= n
	return true
}

// trim copies a record that came from elsewhere, as much of it as may be kept.
func (b *budget) trim(r *Record) *Record {
	if r == nil {
		r = &Record{}
	}
	b.nodes--
	c := &Record{
		ID: words.Clip(r.ID, minText), Type: b.text(r.Type), Message: b.text(r.Message), Origin: trimID(r.Origin),
		Relays: b.path(r.Relays), Stack: b.text(r.Stack), Name: words.Clip(r.Name, minText), Code: r.Code, Note: b.text(r.Note),
	}
	if len(c.Relays) < len(r.Relays) {
		c.annotate(fmt.Sprintf("it was relayed %d times", len(r.Relays)))
	}
	if b.detail(len(r.Detail)) {
		c.Detail = r.Detail
	} else {
		c.annotate(fmt.Sprintf("the fields of %s, %d bytes, were left out", c.Name, len(r.Detail)))
		c.Name = ""
	}
	below := slices.Concat(r.Causes, r.Also)
	if len(below) == 1 && below[0].isEllipsis() {
		b.depth, b.nodes = max(1, b.depth), max(1, b.nodes) // it was cut here before
	}
	all := b.each(len(below), func(i int) *Record { return b.trim(below[i]) })
	n := min(len(r.Causes), len(all))
	c.Causes, c.Also = all[:n:n], all[n:]
	return c
}

// path copies a relay path.
func (b *budget) path(ids []actor.ID) []actor.ID {
	var out []actor.ID
	for _, id := range ids[:min(len(ids), maxRelays, b.hops)] {
		out = append(out, trimID(id))
	}
	b.hops -= len(out)
	return out
}

// annotate adds a note, once however often the record passes here.
func (r *Record) annotate(note string) { r.Note = addNote(r.Note, note) }

func addNote(notes, note string) string {
	switch {
	case notes == "":
		return note
	case note == "" || strings.Contains(notes, note):
		return notes
	}
	return notes + "; " + note
}

func trimID(id actor.ID) actor.ID {
	id.Name, id.UUID = words.Clip(id.Name, minText), words.Clip(id.UUID, minText)
	return id
}
