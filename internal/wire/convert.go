package wire

import (
	"strings"
	"unicode/utf8"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// maxName is how many bytes of a peer's name or uuid are kept: they stand in every
// line of the log.
const maxName = 256

// FromID makes an identity ready for the wire. Whatever a name holds, it must not keep the frame
// from being encoded. Nobody is an absent identity, which costs no bytes.
func FromID(id actor.ID) *Identity {
	if id.IsZero() {
		return nil
	}
	return &Identity{Name: valid(id.Name), Uuid: valid(id.UUID), Pid: int64(id.PID)}
}

// ToID reads an identity; nil is nobody. It comes from a peer, so its texts are cut: names stand
// in logs and errors, many times over.
func (x *Identity) ToID() actor.ID {
	return actor.ID{Name: cut(x.GetName()), UUID: cut(x.GetUuid()), PID: int(x.GetPid())}
}

// Bound cuts what a peer says of an actor to what an honest one says: it is sent on, and kept, and has
// counted for nothing. nil is nobody.
func (x *Address) Bound() {
	if x == nil {
		return
	}
	x.Path = valid(x.Path[:min(len(x.Path), treepath.Most)])
	if id := x.Actor; id != nil {
		id.Name, id.Uuid = valid(cut(id.Name)), valid(cut(id.Uuid))
	}
}

// Root is the error itself, of all those in its tree; nil if there is none. The list begins with
// it, and each node comes after the one that it belongs to.
func (x *Fault) Root() *Node {
	if x == nil || len(x.Nodes) == 0 {
		return nil
	}
	return x.Nodes[0]
}

// valid is a text that protobuf encodes. Most are, and to see that is quicker than to look for what to repair.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// cut keeps the beginning of a peer's text, and repairs it if a character was cut in two.
func cut(s string) string { return valid(s[:min(len(s), maxName)]) }
