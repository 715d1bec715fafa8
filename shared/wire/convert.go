package wire

import (
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// maxFaultDepth bounds the tree that a peer can make this process build.
const maxFaultDepth = 40

// FromID makes an identity ready for the wire.
func FromID(id actor.ID) *Identity {
	if id.IsZero() {
		return nil
	}
	return &Identity{Name: id.Name, Uuid: id.UUID, Pid: int64(id.PID)}
}

// ToID reads an identity; nil is nobody.
func (x *Identity) ToID() actor.ID {
	return actor.ID{Name: x.GetName(), UUID: x.GetUuid(), PID: int(x.GetPid())}
}

// FromRecord makes a packed error ready for the wire.
func FromRecord(r *fault.Record) *Fault {
	if r == nil {
		return nil
	}
	return &Fault{
		Id: r.ID, Type: r.Type, Message: r.Message, Origin: FromID(r.Origin),
		Relays: fromAll(r.Relays, FromID), Stack: r.Stack, Causes: fromAll(r.Causes, FromRecord),
		Name: r.Name, Detail: r.Detail, Code: r.Code, Also: fromAll(r.Also, FromRecord), Note: r.Note,
	}
}

// ToRecord reads a packed error. A tree deeper than any that this project makes
// is cut off.
func (x *Fault) ToRecord() *fault.Record { return x.toRecord(maxFaultDepth) }

func (x *Fault) toRecord(depth int) *fault.Record {
	r := &fault.Record{
		ID: x.GetId(), Type: x.GetType(), Message: x.GetMessage(), Origin: x.GetOrigin().ToID(),
		Relays: fromAll(x.GetRelays(), (*Identity).ToID), Stack: x.GetStack(),
		Name: x.GetName(), Detail: x.GetDetail(), Code: x.GetCode(), Note: x.GetNote(),
	}
	if depth == 0 {
		return r
	}
	below := func(f *Fault) *fault.Record { return f.toRecord(depth - 1) }
	r.Causes, r.Also = fromAll(x.GetCauses(), below), fromAll(x.GetAlso(), below)
	return r
}

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
