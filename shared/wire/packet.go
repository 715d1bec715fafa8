package wire

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what other messages are coded with
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// PacketCodec codes the packets of a link: the same bytes as protobuf's own codec, whose
// name it has, with fewer copies. A large payload is sent from where it lies and,
// received, stays where it came in. Whoever hands a payload to a link must not
// change it any more.
type PacketCodec struct{}

var _ encoding.CodecV2 = PacketCodec{}

// Name is what peers in other languages know it by.
func (PacketCodec) Name() string { return "proto" }

// Payloads from this size on are sent without having been copied, in bytes.
const sentInPlace = 4 << 10

// A payload that came in keeps its whole packet in memory for as long as it is
// held. It is copied out unless it is at least this part of its packet, or the
// packet is small.
const (
	keptShare   = 4
	smallPacket = 4 << 10
)

func others() encoding.CodecV2 { return encoding.GetCodecV2("proto") }

// Marshal encodes a *Packet; other messages as protobuf does.
func (PacketCodec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*Packet)
	if !ok {
		return others().Marshal(v)
	}
	var few [8]int
	w := packetWriter{sizes: few[:0]}
	w.own = make([]byte, 0, w.measure(p))
	for i, f := range p.Frames {
		if err := w.frame(f, w.sizes[i]); err != nil {
			return nil, err
		}
	}
	w.flush()
	return w.out, nil
}

// packetWriter gathers the parts of one packet.
type packetWriter struct {
	sizes []int // of the frames
	out   mem.BufferSlice
	own   []byte // what follows the last part of out
}

// measure takes the sizes of the frames, and returns how much of the packet is not
// sent in place.
func (w *packetWriter) measure(p *Packet) (n int) {
	for _, f := range p.Frames {
		size := sizeOf(f)
		w.sizes = append(w.sizes, size)
		n += protowire.SizeTag(1) + protowire.SizeBytes(size)
		if len(f.Payload) >= sentInPlace {
			n -= len(f.Payload)
		}
	}
	return n
}

func (w *packetWriter) frame(f *Frame, size int) (err error) {
	w.own = appendHead(w.own, f, size)
	w.payload(f.Payload)
	w.own, err = appendTail(w.own, f)
	return err
}

// appendHead encodes what comes before the bytes of the payload, of a frame of a
// size.
func appendHead(b []byte, f *Frame, size int) []byte {
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendVarint(b, 1, f.Dialog)
	b = appendVarint(b, 2, uint64(f.Kind))
	if len(f.Payload) > 0 {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(f.Payload)))
	}
	return b
}

func (w *packetWriter) payload(b []byte) {
	if len(b) < sentInPlace {
		w.own = append(w.own, b...)
		return
	}
	w.flush()
	w.out = append(w.out, mem.SliceBuffer(b))
}

func (w *packetWriter) flush() {
	if len(w.own) > 0 {
		w.out = append(w.out, mem.SliceBuffer(slices.Clip(w.own)))
		w.own = w.own[len(w.own):]
	}
}

// sizeOf is the encoded size of a frame.
func sizeOf(f *Frame) int {
	n := sizeVarint(1, f.Dialog) + sizeVarint(2, uint64(f.Kind)) +
		sizeVarint(7, f.Yields) + sizeVarint(11, uint64(f.Overflow)) + sizeVarint(15, f.Total)
	if len(f.Payload) > 0 {
		n += protowire.SizeTag(3) + protowire.SizeBytes(len(f.Payload))
	}
	for _, set := range []bool{f.More, f.Probe, f.Deaf} {
		if set {
			n += 2
		}
	}
	if f.plain() {
		return n
	}
	for _, part := range parts(f) {
		if part.m != nil {
			n += protowire.SizeTag(part.number) + protowire.SizeBytes(proto.Size(part.m))
		}
	}
	return n
}

// appendTail encodes what comes after the payload, in the order of the numbers.
func appendTail(b []byte, f *Frame) (_ []byte, err error) {
	for i, set := range []bool{f.More, f.Probe, f.Deaf} {
		if set {
			b = appendVarint(b, protowire.Number(4+i), 1)
		}
	}
	b = appendVarint(b, 7, f.Yields)
	if f.plain() {
		return appendVarint(appendVarint(b, 11, uint64(f.Overflow)), 15, f.Total), nil
	}
	for _, part := range parts(f) {
		if part.number == 12 {
			b = appendVarint(b, 11, uint64(f.Overflow))
		}
		if part.m == nil {
			continue
		}
		b = protowire.AppendTag(b, part.number, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(measured.Size(part.m)))
		if b, err = measured.MarshalAppend(b, part.m); err != nil {
			return nil, err
		}
	}
	return appendVarint(b, 15, f.Total), nil
}

// measured uses the sizes that sizeOf has taken.
var measured = proto.MarshalOptions{UseCachedSize: true}

// part is a message inside of a frame.
type part struct {
	number protowire.Number
	m      proto.Message // nil if it is absent
}

// plain tells that a frame has no messages inside, as most.
func (f *Frame) plain() bool {
	return f.Credit == nil && f.Start == nil && f.Window == nil && f.Fault == nil && f.Cancel == nil && f.Hello == nil
}

func parts(f *Frame) [6]part {
	return [6]part{
		{8, orNil(f.Credit)}, {9, orNil(f.Start)}, {10, orNil(f.Window)},
		{12, orNil(f.Fault)}, {13, orNil(f.Cancel)}, {14, orNil(f.Hello)},
	}
}

func orNil[M any, P interface {
	*M
	proto.Message
}](p P) proto.Message {
	if p == nil {
		return nil
	}
	return p
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

// Unmarshal decodes a *Packet; other messages as protobuf does.
func (PacketCodec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*Packet)
	if !ok {
		return others().Unmarshal(data, v)
	}
	return p.read(data.Materialize()) //nolint:misspell // its name
}

// read decodes a packet, which owns b from now on.
func (p *Packet) read(b []byte) error {
	frames := make([]Frame, count(b))
	p.Frames = make([]*Frame, 0, len(frames))
	return fields(b, func(n protowire.Number, v value) error {
		if n != 1 || v.kind != protowire.BytesType {
			return nil
		}
		f := &frames[len(p.Frames)]
		p.Frames = append(p.Frames, f)
		return f.read(v.bytes, func(payload []byte) []byte { return keep(payload, len(b)) })
	})
}

// count is how many frames there are, as far as b can be read.
func count(b []byte) (n int) {
	_ = fields(b, func(number protowire.Number, v value) error {
		if number == 1 && v.kind == protowire.BytesType {
			n++
		}
		return nil
	})
	return n
}

// read decodes a frame. own makes a payload, which lies in b, the frame's.
func (f *Frame) read(b []byte, own func(payload []byte) []byte) error {
	return fields(b, func(n protowire.Number, v value) error {
		switch v.kind {
		case protowire.VarintType:
			f.readNumber(n, v.number)
			return nil
		case protowire.BytesType:
			if n == 3 {
				f.Payload = own(v.bytes)
				return nil
			}
			return f.readPart(n, v.bytes)
		default:
			return nil
		}
	})
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
	}
}

// readPart decodes a message inside of a frame. One that comes twice is merged.
func (f *Frame) readPart(n protowire.Number, b []byte) error {
	switch n {
	case 8:
		return merge(&f.Credit, b)
	case 9:
		return merge(&f.Start, b)
	case 10:
		return merge(&f.Window, b)
	case 12:
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

// keep gives a payload that holds no more memory than it may.
func keep(payload []byte, packet int) []byte {
	if packet <= smallPacket || len(payload) >= packet/keptShare {
		return slices.Clip(payload)
	}
	return append([]byte(nil), payload...)
}

// value is one field's value.
type value struct {
	kind   protowire.Type
	number uint64 // of VarintType
	bytes  []byte // of BytesType
}

// fields calls f for every field of a message.
func fields(b []byte, f func(n protowire.Number, v value) error) error {
	for len(b) > 0 {
		n, kind, length := protowire.ConsumeTag(b)
		if length < 0 {
			return fmt.Errorf("a packet cannot be read: %w", protowire.ParseError(length))
		}
		if n > protowire.MaxValidNumber {
			return fmt.Errorf("a packet cannot be read: field %d, the highest is %d", n, protowire.MaxValidNumber)
		}
		b = b[length:]
		v := value{kind: kind}
		switch kind {
		case protowire.VarintType:
			v.number, length = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.bytes, length = protowire.ConsumeBytes(b)
		default:
			length = protowire.ConsumeFieldValue(n, kind, b)
		}
		if length < 0 {
			return fmt.Errorf("a packet cannot be read: %w", protowire.ParseError(length))
		}
		b = b[length:]
		if err := f(n, v); err != nil {
			return err
		}
	}
	return nil
}
