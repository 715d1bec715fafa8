package wire

import (
	"strings"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// maxName is how many bytes of a peer's name or uuid are kept: they stand in every
// line of the log.
const maxName = 256

// FromID makes an identity ready for the wire. Whatever a name holds, it must not
// keep the frame from being encoded.
func FromID(id actor.ID) *Identity {
	if id.IsZero() {
		return nil
	}
	return &Identity{Name: valid(id.Name), Uuid: valid(id.UUID), Pid: int64(id.PID)}
}

// ToID reads an identity; nil is nobody.
func (x *Identity) ToID() actor.ID {
	return actor.ID{Name: cut(x.GetName()), UUID: cut(x.GetUuid()), PID: int(x.GetPid())}
}

// Root is the error itself, of all those in its tree; nil if there is none.
func (x *Fault) Root() *Node {
	if x == nil || len(x.Nodes) == 0 {
		return nil
	}
	return x.Nodes[0]
}

// valid is a text that protobuf encodes.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func cut(s string) string { return valid(s[:min(len(s), maxName)]) }
