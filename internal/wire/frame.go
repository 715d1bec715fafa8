package wire

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// frameTag is what a frame begins with where it lies in a packet: field 1 of Packet.
const frameTag = 1<<3 | byte(protowire.BytesType)

// AppendFrame encodes a frame in protobuf's way as one of a packet's frames, so that
// frames one after the other are a packet.
func AppendFrame(b []byte, f *Frame) ([]byte, error) {
	b, err := AppendFrameHead(b, f)
	if err != nil {
		return nil, err
	}
	return append(b, f.Payload...), nil
}

// AppendFrameHead encodes all of a frame but the bytes of its payload, which must follow. Protobuf
// lets fields come in any order; the payload is the last one here, so that a large one can be
// sent from where it lies. Numbers are those of the fields in docs/protocol/trellis.proto.
func AppendFrameHead(b []byte, f *Frame) ([]byte, error) {
	e := encoder{b: append(b, frameTag, 0)}
	at := len(e.b)
	e.number(1, f.Dialog)
	e.number(2, uint64(f.Kind))
	e.flag(4, f.More)
	e.flag(5, f.Probe)
	e.flag(6, f.Deaf)
	e.number(7, f.Yields)
	e.number(11, uint64(f.Overflow))
	e.number(15, f.Total)
	e.flag(16, f.Attached)
	if !f.plain() {
		e.message(8, f.Credit, f.Credit != nil)
		e.start(9, f.Start)
		e.message(10, f.Window, f.Window != nil)
		e.message(12, f.Fault, f.Fault != nil)
		e.message(13, f.Cancel, f.Cancel != nil)
		e.message(14, f.Hello, f.Hello != nil)
	}
	if n := len(f.Payload); n > 0 {
		e.b = protowire.AppendTag(e.b, 3, protowire.BytesType)
		e.b = protowire.AppendVarint(e.b, uint64(n))
	}
	e.close(at, len(f.Payload))
	return e.b, e.err
}

// encoder writes fields one after the other, and keeps the first error. Only a message inside the
// frame can fail, with a text that is not valid UTF-8.
type encoder struct {
	b   []byte
	err error
}

// number writes a field that is absent if it is 0, as most are. It is so small that the compiler
// inlines it, and an absent field costs one comparison.
func (e *encoder) number(n protowire.Number, v uint64) {
	if v != 0 {
		e.varint(n, v)
	}
}

func (e *encoder) flag(n protowire.Number, set bool) {
	if set {
		e.varint(n, 1)
	}
}

func (e *encoder) varint(n protowire.Number, v uint64) {
	e.b = protowire.AppendVarint(protowire.AppendTag(e.b, n, protowire.VarintType), v)
}

// message writes a message inside the frame, as protobuf encodes it. set is asked by the caller,
// since a nil pointer in m is an interface that is not nil.
func (e *encoder) message(n protowire.Number, m proto.Message, set bool) {
	if !set || e.err != nil {
		return
	}
	e.b = append(protowire.AppendTag(e.b, n, protowire.BytesType), 0)
	at := len(e.b)
	if e.b, e.err = (proto.MarshalOptions{}).MarshalAppend(e.b, m); e.err == nil {
		e.close(at, 0)
	}
}

// close writes the length of all behind at, and of what is still to follow, before that. The size
// of the length itself is not known until then. One byte has been left for it, which is enough
// for most frames; for the others what is behind moves by a few bytes, without the payload.
func (e *encoder) close(at, follows int) {
	size := uint64(len(e.b) - at + follows)
	if size < 1<<7 {
		e.b[at-1] = byte(size)
		return
	}
	e.b = slices.Insert(e.b, at, make([]byte, protowire.SizeVarint(size)-1)...)
	protowire.AppendVarint(e.b[:at-1], size)
}

// plain reports whether a frame has no messages inside. Most have none, messages of a stream above
// all, and need not be asked for each of the six fields.
func (f *Frame) plain() bool {
	return f.Credit == nil && f.Start == nil && f.Window == nil && f.Fault == nil && f.Cancel == nil && f.Hello == nil
}

// clear makes a frame what a new one is, but for what protobuf keeps in it. A [PacketReader] uses
// frames again; the messages inside, and the payload, may be somebody else's by now and are let go.
// Protobuf's Reset does the same and takes 20 ns of some 100 that a small message costs here.
func (f *Frame) clear() {
	f.Dialog, f.Kind, f.Payload = 0, 0, nil
	f.More, f.Probe, f.Deaf, f.Attached = false, false, false, false
	f.Yields, f.Overflow, f.Total = 0, 0, 0
	f.Credit, f.Start, f.Window, f.Fault, f.Cancel, f.Hello = nil, nil, nil, nil, nil, nil
}

// read decodes a frame. own gives the frame, which has the fields that came before, a payload of
// its own, by a copy or by leaving it in b if that is not used again. known are the names that this
// peer has used before. Fields that are not known, or have another kind of value than they should, are
// skipped, as protobuf does: later versions may send them, and a relay would pass on what no bound
// knows. left is how many parts the frame may still have.
func (f *Frame) read(b []byte, own func(f *Frame, payload []byte) []byte, known names) error {
	left := mostParts
	for len(b) > 0 {
		number, v, rest, err := field(b)
		if err != nil {
			return err
		}
		whole := b[:len(b)-len(rest)]
		b = rest
		switch {
		case v.kind == protowire.VarintType:
			f.readNumber(number, v.number)
		case v.kind == protowire.BytesType && number == 3:
			f.Payload = own(f, v.bytes)
		case number == 9 && v.kind == protowire.BytesType && f.readStart(v.bytes, known):
		case v.kind == protowire.BytesType: // a message, which is merged with one of the same field before it
			if err = count(v.bytes, &left, errManyParts, repeated[number]...); err == nil {
				err = proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}.Unmarshal(whole, f)
			}
			if err != nil {
				return err
			}
		}
	}
	if n := len(f.Start.GetMetadata()); n > MostMetadata {
		return fmt.Errorf("a START has %d entries of metadata, the limit is %d", n, MostMetadata)
	}
	return nil
}

func (f *Frame) readNumber(n protowire.Number, v uint64) {
	switch n {
	case 1:
		f.Dialog = v
	case 2:
		f.Kind = Kind(int32(v)) // as protobuf cuts enums
	case 4:
		f.More = v != 0
	case 5:
		f.Probe = v != 0
	case 6:
		f.Deaf = v != 0
	case 7:
		f.Yields = v
	case 11:
		f.Overflow = Overflow(int32(v)) // as protobuf cuts enums
	case 15:
		f.Total = v
	case 16:
		f.Attached = v != 0
	}
}

// value is one field's value, in the form that its kind has. bytes lie in the message that was
// read, and are not a copy.
type value struct {
	kind   protowire.Type
	number uint64 // of VarintType and Fixed64Type
	bytes  []byte // of BytesType
}

// field takes the first field off a message. It refuses the numbers that protobuf refuses, which
// protowire alone would read; groups, which only old protobuf has, are skipped as a whole.
func field(b []byte) (n protowire.Number, v value, rest []byte, err error) {
	n, kind, length := protowire.ConsumeTag(b)
	if length < 0 {
		return 0, v, nil, unreadable(length)
	}
	if n > protowire.MaxValidNumber {
		return 0, v, nil, fmt.Errorf("a packet cannot be read: field %d, the highest is %d", n, protowire.MaxValidNumber)
	}
	b = b[length:]
	v.kind = kind
	switch kind {
	case protowire.VarintType:
		v.number, length = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		v.number, length = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		v.bytes, length = protowire.ConsumeBytes(b)
	default:
		length = protowire.ConsumeFieldValue(n, kind, b)
	}
	if length < 0 {
		return 0, v, nil, unreadable(length)
	}
	return n, v, b[length:], nil
}

func unreadable(code int) error {
	return fmt.Errorf("a packet cannot be read: %w", protowire.ParseError(code))
}
