package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// packets has every field of a frame, and payloads of all sizes.
func packets() map[string]*wire.Packet {
	window := &wire.Window{Messages: 64, Bytes: 4 << 20}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	return map[string]*wire.Packet{
		"empty":   {},
		"nothing": {Frames: []*wire.Frame{{}, {}}},
		"all": {Frames: []*wire.Frame{{
			Dialog: 1 << 40, Kind: wire.Kind_KIND_CANCEL_ACK, Payload: []byte("small"), More: true, Probe: true, Deaf: true, Yields: 300,
			Credit: window, Start: &wire.Start{Endpoint: "e", Metadata: map[string]string{"k": "v"}, Fingerprint: 1 << 63}, Window: window,
			Overflow: wire.Overflow_OVERFLOW_KEEP, Fault: &wire.Fault{Nodes: []*wire.Node{{Message: "f"}, {Message: "c", Also: true}}},
			Cancel: &wire.Cancel{Reason: "r"}, Hello: &wire.Hello{Version: 1}, Total: 70000, Attached: true,
		}}},
		"empty parts": {Frames: []*wire.Frame{{Credit: &wire.Window{}, Start: &wire.Start{}, Fault: &wire.Fault{}}}},
		"attached starts": {Frames: []*wire.Frame{
			{Kind: wire.Kind_KIND_START, Start: &wire.Start{Endpoint: "e", Attached: true}},
			{Kind: wire.Kind_KIND_START, Start: &wire.Start{Endpoint: "e", Attached: true, Overflow: wire.Overflow_OVERFLOW_KEEP}},
		}},
		"of a later version": {Frames: []*wire.Frame{{Kind: -1, Overflow: -7}}},
		"large": {Frames: []*wire.Frame{
			{Dialog: 1, Kind: wire.Kind_KIND_YIELD, Payload: large}, {Dialog: 3, Payload: []byte{}},
			{Dialog: 5, Kind: wire.Kind_KIND_YIELD, Payload: large[:5000], More: true}, {Dialog: 7, Payload: []byte("x"), Yields: 1},
		}},
	}
}

func TestPacketCodecWritesWhatProtobufReads(t *testing.T) {
	for name, p := range packets() {
		b := encoded(t, p)
		parts, err := wire.PacketCodec{}.Marshal(wire.Batch{b[:len(b)/2], b[len(b)/2:]})
		if err != nil {
			t.Fatal(err)
		}
		var got wire.Packet
		if err := proto.Unmarshal(parts.Materialize(), &got); err != nil { //nolint:misspell // its name
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(p, &got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A payload keeps no more memory alive than four times its size, or a small packet.
func TestPacketCodecKeepsLittle(t *testing.T) {
	p := &wire.Packet{}
	for range 1000 {
		p.Frames = append(p.Frames, &wire.Frame{Payload: make([]byte, 100)})
	}
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	read(t, b, &wire.Packet{}, func(got *wire.Packet) {
		for _, f := range got.Frames {
			if cap(f.Payload) > 2*len(f.Payload) {
				t.Fatalf("a payload of %d bytes has %d", len(f.Payload), cap(f.Payload))
			}
			copy(f.Payload, "mine") // none shares its memory with the packet
		}
		if bytes.Contains(b, []byte("mine")) {
			t.Error("payloads lie in the packet")
		}
	})
}

func read(t *testing.T, b []byte, p *wire.Packet, then func(*wire.Packet)) {
	t.Helper()
	if err := (wire.PacketCodec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, p); err != nil {
		t.Fatal(err)
	}
	then(p)
}

// FuzzPacketCodec: whatever comes, the codec reads what protobuf reads, and refuses what
// that refuses.
func FuzzPacketCodec(f *testing.F) {
	for _, p := range packets() {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x0a, 0x02, 0x08})
	f.Add([]byte{0x08, 0x01, 0x0a, 0x03, 0x1d, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var want, got wire.Packet
		wantErr := known.Unmarshal(b, &want)
		err := wire.PacketCodec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(bytes.Clone(b))}, &got)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, protobuf says %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if !proto.Equal(&want, &got) {
			t.Errorf("got %v, want %v", &got, &want)
		}
		var again wire.Packet
		if err := proto.Unmarshal(encoded(t, &got), &again); err != nil || !proto.Equal(&again, &want) {
			t.Errorf("%v, %v", &again, err)
		}
	})
}

// known reads what protobuf does, without fields of later versions.
var known = proto.UnmarshalOptions{DiscardUnknown: true}
