package fault

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Bounds of an error tree, so that no error, however made, floods a link or a log. What is
// beyond them is left out, with a note; what is nearest to the root stays. They hold at both
// ends: [Pack] keeps them, and [Unpack] does not trust that the peer has. docs/bounds.md lists
// them.
const (
	maxErrors = 1024
	maxRelays = 64          // of one error
	maxSize   = 1 << 20     // bytes, encoded, of all errors together
	maxName   = 256         // bytes of one id or name, of what was shortened
	slack     = maxSize / 8 // by which a tree may be larger before it is shortened: a relay makes it grow
)

// trim shortens the errors of a tree that is too large. Each keeps its even share of what
// there is room for, and more where the others need less: a large error never pushes out
// another one. A tree that was shortened before stays as it is: it is at most maxSize then, and
// the relays that each hop adds fit into the slack. Otherwise every hop would cut a little more
// off every text.
//
// In the loop, left is what all errors from n on may take, and total what those behind n need.
// So n gets its even share of left, or all that the others would not use.
func trim(nodes []*wire.Node) {
	total := 0
	for _, n := range nodes {
		n.Message, n.Stack = wire.Text(n.Message), wire.Text(n.Stack)
		if len(n.Relays) > maxRelays {
			annotate(n, relayed(n))
			n.Relays = slices.Clone(n.Relays[:maxRelays])
		}
		total += proto.Size(n)
	}
	if total <= maxSize+slack {
		return
	}
	left := maxSize
	for i, n := range nodes {
		total -= proto.Size(n) // of the others that are still to come
		shorten(n, max(left/(len(nodes)-i), left-total))
		left -= proto.Size(n)
	}
}

// shorten makes an error fit into a number of bytes, if that is not less than what its names
// have. It gives up what is worth least first: the fields of a type, which are all or nothing
// since half an encoding cannot be read, then the later hops, the notes, the text and the stack.
// What one of these does not need falls to the next.
func shorten(n *wire.Node, size int) {
	if proto.Size(n) <= size {
		return
	}
	n.Id, n.Type, n.Name = clip(n.Id, maxName), clip(n.Type, maxName), clip(n.Name, maxName)
	n.Origin = wire.FromID(n.Origin.ToID())
	const heads = 32 // tags and lengths
	left := size - heads - proto.Size(&wire.Node{Id: n.Id, Type: n.Type, Name: n.Name, Origin: n.Origin})
	if len(n.Detail) > left/2 {
		annotate(n, fmt.Sprintf("the fields of %s, %d bytes, were left out", n.Name, len(n.Detail)))
		n.Name, n.Detail = "", nil
	}
	left -= len(n.Detail)
	relays, room := 0, left/4
	for _, hop := range n.Relays {
		if room -= proto.Size(hop) + 2; room < 0 {
			annotate(n, relayed(n))
			break
		}
		relays++
	}
	n.Relays = n.Relays[:relays]
	left -= left/4 - max(0, room)
	n.Note = clip(n.Note, left/4)
	left -= len(n.Note)
	n.Message = clip(n.Message, left/2)
	n.Stack = clip(n.Stack, left-len(n.Message))
}

func relayed(n *wire.Node) string { return fmt.Sprintf("it was relayed %d times", len(n.Relays)) }

// annotate adds a note, once however often the error passes here. What is cut on the way to each
// hop is the same as a rule, and so is the text of the note.
func annotate(n *wire.Node, note string) { n.Note = addNote(n.Note, note) }

func addNote(notes, note string) string {
	switch {
	case notes == "":
		return note
	case note == "" || strings.Contains(notes, note):
		return notes
	}
	return notes + "; " + note
}

// clip cuts a text to a number of bytes, or to as few as say what is missing.
func clip(s string, limit int) string { return words.Clip(s, max(32, limit)) }
