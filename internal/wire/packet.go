package wire

import (
	"slices"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what other messages are coded with
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Batch is a packet that goes out: whole frames, encoded, one after the other in parts that may
// end anywhere. Parts let a large payload go out from where it lies, without a copy into the
// packet. The memory of all parts belongs to whoever has made the Batch.
type Batch [][]byte

// PacketCodec codes the packets of a link for gRPC: the same bytes as protobuf's own codec, whose
// name it has, so that a peer with generated code notices no difference. It takes a Batch for a
// packet, and reads one with few copies. It has no state.
type PacketCodec struct{}

var _ encoding.CodecV2 = PacketCodec{}

// Name is what peers in other languages know it by: gRPC puts it into the content type.
func (PacketCodec) Name() string { return "proto" }

// A payload that came in keeps its whole packet in memory for as long as it is
// held. It is copied out unless it is at least this part of its packet, or the
// packet is small.
const (
	keptShare   = 4
	smallPacket = slabSize
)

// others is the codec for all messages that are not packets: Boot, health checks, go-plugin's own.
// It is asked for by name each time, since gRPC's registry is filled when programs start.
func others() encoding.CodecV2 { return encoding.GetCodecV2("proto") }

// Marshal joins the parts of a Batch, whose memory is the caller's again then; other messages are
// encoded as protobuf does. The copy is the price of gRPC, which keeps what it sends for longer.
func (PacketCodec) Marshal(v any) (mem.BufferSlice, error) {
	if batch, ok := v.(Batch); ok {
		return mem.BufferSlice{mem.SliceBuffer(slices.Concat(batch...))}, nil
	}
	return others().Marshal(v)
}

// Unmarshal decodes a *Packet; other messages as protobuf does.
func (PacketCodec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*Packet)
	if !ok {
		return others().Unmarshal(data, v)
	}
	return p.read(data.Materialize()) //nolint:misspell // its name
}

// NewPacket decodes a Batch, for two ends in one process. All of it is copied first, so that the
// frames do not share memory with their sender.
func NewPacket(b Batch) (*Packet, error) {
	p := new(Packet)
	return p, p.read(slices.Concat(b...))
}

// read decodes a packet, which owns b from now on. Frames are counted first: so their number is
// checked before any is made, and all of them lie in one piece of memory.
func (p *Packet) read(b []byte) error {
	left := mostParts
	if err := count(b, &left, errManyFrames, packetFrames); err != nil {
		return err
	}
	frames := make([]Frame, mostParts-left)
	p.Frames = make([]*Frame, 0, len(frames))
	own := func(_ *Frame, payload []byte) []byte { return keep(payload, len(b)) }
	for rest := b; len(rest) > 0; {
		n, v, after, err := field(rest)
		if err != nil {
			return err
		}
		rest = after
		if n != packetFrames || v.kind != protowire.BytesType {
			continue
		}
		f := &frames[len(p.Frames)]
		p.Frames = append(p.Frames, f)
		if err := f.read(v.bytes, own, nil); err != nil {
			return err
		}
	}
	return nil
}

// keep gives a payload that holds no more memory than it may: at most keptShare times its own
// size, or a small packet. packet is the size of the memory that it lies in.
func keep(payload []byte, packet int) []byte {
	if packet <= smallPacket || len(payload) >= packet/keptShare {
		return slices.Clip(payload)
	}
	return append([]byte(nil), payload...)
}
