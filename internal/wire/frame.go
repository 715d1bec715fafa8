package wire

import (
	"fmt"

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

// AppendFrameHead encodes all of a frame but the bytes of its payload, which must follow.
func AppendFrameHead(b []byte, f *Frame) ([]byte, error) {
	b = append(b, frameTag)
	b = protowire.AppendVarint(b, uint64(sizeOf(f)))
	b = appendVarint(b, 1, f.Dialog)
	b = appendVarint(b, 2, uint64(f.Kind))
	if f.marked() {
		b = appendMarks(b, f)
	}
	if !f.plain() {
		var err error
		if b, err = appendParts(b, f); err != nil {
			return nil, err
		}
	}
	if len(f.Payload) > 0 { // the last field, so that what follows need not be moved
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(f.Payload)))
	}
	return b, nil
}

// sizeOf is the encoded size of a frame, without what comes before it in a packet.
func sizeOf(f *Frame) int {
	n := sizeVarint(1, f.Dialog) + sizeVarint(2, uint64(f.Kind))
	if len(f.Payload) > 0 {
		n += protowire.SizeTag(3) + protowire.SizeBytes(len(f.Payload))
	}
	if f.marked() {
		n += sizeVarint(7, f.Yields) + sizeVarint(11, uint64(f.Overflow)) + sizeVarint(15, f.Total)
		if f.Attached {
			n += 3
		}
		for _, set := range []bool{f.More, f.Probe, f.Deaf} {
			if set {
				n += 2
			}
		}
	}
	if f.plain() {
		return n
	}
	if f.Credit != nil {
		n += sizeMessage(8, f.Credit.size())
	}
	if f.Start != nil {
		n += sizeMessage(9, f.Start.size())
	}
	if f.Window != nil {
		n += sizeMessage(10, f.Window.size())
	}
	return n + sizeOfParts(f)
}

// sizeOfParts is the size of the messages inside a frame that are left to protobuf.
func sizeOfParts(f *Frame) (n int) {
	if f.Fault != nil {
		n += sizeMessage(12, proto.Size(f.Fault))
	}
	if f.Cancel != nil {
		n += sizeMessage(13, proto.Size(f.Cancel))
	}
	if f.Hello != nil {
		n += sizeMessage(14, proto.Size(f.Hello))
	}
	return n
}

// marked reports whether a frame has numbers that most frames do not have.
func (f *Frame) marked() bool {
	return f.More || f.Probe || f.Deaf || f.Yields != 0 || f.Overflow != 0 || f.Total != 0 || f.Attached
}

// plain reports whether a frame has no messages inside, as most do not.
func (f *Frame) plain() bool {
	return f.Credit == nil && f.Start == nil && f.Window == nil && f.Fault == nil && f.Cancel == nil && f.Hello == nil
}

func appendMarks(b []byte, f *Frame) []byte {
	for i, set := range []bool{f.More, f.Probe, f.Deaf} {
		if set {
			b = appendVarint(b, protowire.Number(4+i), 1)
		}
	}
	b = appendVarint(b, 7, f.Yields)
	b = appendVarint(b, 11, uint64(f.Overflow))
	b = appendVarint(b, 15, f.Total)
	if f.Attached {
		b = appendVarint(b, 16, 1)
	}
	return b
}

// appendParts uses the sizes that sizeOf has taken.
func appendParts(b []byte, f *Frame) (_ []byte, err error) {
	if f.Credit != nil {
		b = f.Credit.append(appendHead(b, 8, f.Credit.size()))
	}
	if f.Start != nil {
		if b, err = f.Start.append(b, 9); err != nil {
			return nil, err
		}
	}
	if f.Window != nil {
		b = f.Window.append(appendHead(b, 10, f.Window.size()))
	}
	if f.Fault != nil {
		if b, err = appendMessage(b, 12, f.Fault); err != nil {
			return nil, err
		}
	}
	if f.Cancel != nil {
		if b, err = appendMessage(b, 13, f.Cancel); err != nil {
			return nil, err
		}
	}
	if f.Hello != nil {
		return appendMessage(b, 14, f.Hello)
	}
	return b, nil
}

var measured = proto.MarshalOptions{UseCachedSize: true}

// appendMessage encodes a message, whose size has been taken, as a field.
func appendMessage(b []byte, n protowire.Number, m proto.Message) ([]byte, error) {
	return measured.MarshalAppend(appendHead(b, n, measured.Size(m)), m)
}

// appendHead puts what comes before a message inside another.
func appendHead(b []byte, n protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.BytesType), uint64(size))
}

func sizeMessage(n protowire.Number, size int) int {
	return protowire.SizeTag(n) + protowire.SizeBytes(size)
}

func sizeVarint(n protowire.Number, v uint64) int {
	if v == 0 {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeVarint(v)
}

func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

// clear makes a frame what a new one is, but for what protobuf keeps in it.
func (f *Frame) clear() {
	f.Dialog, f.Kind, f.Payload = 0, 0, nil
	f.More, f.Probe, f.Deaf, f.Attached = false, false, false, false
	f.Yields, f.Overflow, f.Total = 0, 0, 0
	f.Credit, f.Start, f.Window, f.Fault, f.Cancel, f.Hello = nil, nil, nil, nil, nil, nil
}

// read decodes a frame. own makes a payload, which lies in b, the frame's.
func (f *Frame) read(b []byte, own func(payload []byte) []byte, n names) error {
	left := mostParts
	for len(b) > 0 {
		number, v, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case v.kind == protowire.VarintType:
			f.readNumber(number, v.number)
		case v.kind != protowire.BytesType:
		case number == 3:
			f.Payload = own(v.bytes)
		default:
			if err := f.readPart(number, v.bytes, n, &left); err != nil {
				return err
			}
		}
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

// readPart decodes a message inside a frame. One that comes twice is merged. left is
// how many parts a fault may still have.
func (f *Frame) readPart(number protowire.Number, b []byte, n names, left *int) error {
	switch number {
	case 8:
		return readWindow(&f.Credit, b)
	case 9:
		if f.Start == nil {
			f.Start = new(Start)
		}
		if err := f.Start.read(b, n); err != nil {
			return err
		}
		return checkMetadata(len(f.Start.Metadata)) // it may have come in more than one piece
	case 10:
		return readWindow(&f.Window, b)
	case 12:
		if err := checkFault(b, left); err != nil {
			return err
		}
		return merge(&f.Fault, b)
	case 13:
		return merge(&f.Cancel, b)
	case 14:
		return merge(&f.Hello, b)
	}
	return nil
}

func merge[M any, P interface {
	*M
	proto.Message
}](into *P, b []byte) error {
	if *into == nil {
		*into = P(new(M))
	}
	return proto.UnmarshalOptions{Merge: true}.Unmarshal(b, *into)
}

// value is one field's value.
type value struct {
	kind   protowire.Type
	number uint64 // of VarintType and Fixed64Type
	bytes  []byte // of BytesType
}

// field takes the first field off a message.
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
