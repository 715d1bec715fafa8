package wire

import (
	"strings"

	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of the tree that a peer can make this process build. They are above what
// fault.Pack makes.
const (
	maxFaultDepth = 40
	maxFaults     = 4096
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

// FromRecord makes a packed error ready for the wire.
func FromRecord(r *fault.Record) *Fault {
	if r == nil {
		return nil
	}
	return &Fault{
		Id: valid(r.ID), Type: valid(r.Type), Message: valid(r.Message), Origin: FromID(r.Origin),
		Relays: fromAll(r.Relays, FromID), Stack: valid(r.Stack), Causes: fromAll(r.Causes, FromRecord),
		Name: valid(r.Name), Detail: r.Detail, Code: r.Code, Also: fromAll(r.Also, FromRecord), Note: valid(r.Note),
	}
}

// ToRecord reads a packed error. A tree larger than any that this project makes is
// cut off, with a note; fault.Record.Unpack bounds its texts.
func (x *Fault) ToRecord() *fault.Record {
	left := maxFaults
	return x.toRecord(maxFaultDepth, &left)
}

func (x *Fault) toRecord(depth int, left *int) *fault.Record {
	*left--
	r := &fault.Record{
		ID: x.GetId(), Type: x.GetType(), Message: x.GetMessage(), Origin: x.GetOrigin().ToID(),
		Relays: fromAll(x.GetRelays(), (*Identity).ToID), Stack: x.GetStack(),
		Name: x.GetName(), Detail: x.GetDetail(), Code: x.GetCode(), Note: x.GetNote(),
	}
	if n := len(x.GetCauses()) + len(x.GetAlso()); n > 0 && (depth == 0 || n > *left) {
		r.Note = strings.TrimPrefix(r.Note+"; a very large error: what is below was cut off", "; ")
		return r
	}
	below := func(f *Fault) *fault.Record { return f.toRecord(depth-1, left) }
	r.Causes, r.Also = fromAll(x.GetCauses(), below), fromAll(x.GetAlso(), below)
	return r
}

// valid is a text that protobuf encodes.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func cut(s string) string { return valid(s[:min(len(s), maxName)]) }

func fromAll[A, B any](in []A, f func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
