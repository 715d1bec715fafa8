package wire_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// inside is a message as a field of another one.
func inside(number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), message)
}

// framed is one frame with a message inside, in a packet.
func framed(number protowire.Number, message []byte) []byte {
	return inside(1, inside(number, message))
}

// A few bytes do not become many times as much memory: what has too many parts is
// refused before it is decoded, on both kinds of connections.
func TestPeerCannotBlowUpMemory(t *testing.T) {
	const nodes, relays, metadata = 1, 7, 7
	many := func(number protowire.Number, n int) []byte { return bytes.Repeat([]byte{byte(number<<3 | 2), 0}, n) }
	for name, c := range map[string]struct {
		packet  []byte
		want    string // part of the error, "" for none
		onlyOne bool   // of a gRPC message; a direct connection has no packets
	}{
		"errors":                    {framed(12, many(nodes, 1<<16+1)), "more than 65536 errors", false},
		"errors, as many as may be": {framed(12, many(nodes, 1<<16)), "", false},
		"relays":                    {framed(12, inside(nodes, many(relays, 1<<16))), "more than 65536 errors", false},
		"relays, as many as may be": {framed(12, inside(nodes, many(relays, 1<<16-1))), "", false},
		"both":                      {framed(12, append(many(nodes, 1<<15), inside(nodes, many(relays, 1<<15))...)), "more than 65536 errors", false},
		"errors, in two halves":     {twice(12, many(nodes, 1<<15+1)), "more than 65536 errors", false},
		"metadata, in two halves":   {twice(9, slices.Concat(entries(0, 3000), []byte{2 << 3, 1}), entries(3000, 3000)), "6000 entries of metadata", false},
		"metadata":                  {framed(9, entries(0, 1<<12+1)), "4097 entries of metadata, the limit is 4096", false},
		"metadata behind others":    {framed(9, append([]byte{2 << 3, 1}, entries(0, 1<<12+1)...)), "4097 entries of metadata, the limit is 4096", false},
		"metadata, again and again": {framed(9, many(metadata, 1<<16+1)), "more than 65536 errors, relays and entries of metadata", false},
		"as much as there may be":   {framed(9, entries(0, 1<<12)), "", false},
		"frames":                    {many(1, 1<<16+1), "more than 65536 frames", true},
		"as many as there may be":   {many(1, 1<<16), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var p wire.Packet
			err := wire.PacketCodec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(c.packet)}, &p)
			refused(t, "gRPC", err, c.want)
			if !c.onlyOne {
				_, err = wire.NewPacketReader(bytes.NewReader(c.packet)).Next()
				refused(t, "direct", err, c.want)
			}
		})
	}
}

// twice is one frame that has a message in two parts, which protobuf merges.
func twice(number protowire.Number, parts ...[]byte) []byte {
	var frame []byte
	for i := range 2 {
		frame = protowire.AppendBytes(protowire.AppendTag(frame, number, protowire.BytesType), parts[i%len(parts)])
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), frame)
}

// entries is metadata with n different keys.
func entries(from, n int) (b []byte) {
	for i := range n {
		entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), strconv.Itoa(from+i))
		b = protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), entry)
	}
	return b
}

func refused(t *testing.T, over string, err error, want string) {
	t.Helper()
	if text := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(text, want) {
		t.Errorf("%s: %v, want %q", over, err, want)
	}
}

// A field of a later version is not kept: nothing counts it, and a relay would pass it on.
func TestF06_UnknownFieldsAreNotKept(t *testing.T) {
	unknown := inside(99, make([]byte, 4096))
	for name, packet := range map[string][]byte{
		"START":        framed(9, unknown),
		"an error":     framed(12, inside(1, unknown)),
		"all errors":   framed(12, unknown),
		"its identity": framed(12, inside(1, inside(6, unknown))),
	} {
		p, err := wire.NewPacketReader(bytes.NewReader(packet)).Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if size := proto.Size(p.Frames[0].Start) + proto.Size(p.Frames[0].Fault); size > 16 {
			t.Errorf("%s keeps %d bytes that nobody knows", name, size)
		}
	}
}

// Starts and windows are encoded as protobuf does it, whatever is in them.
func TestStartIsEncodedAsProtobufDoes(t *testing.T) {
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)
	later := &wire.Start{Endpoint: "later", Window: &wire.Window{Messages: 3}}
	later.ProtoReflect().SetUnknown(unknown)
	later.Window.ProtoReflect().SetUnknown(unknown)
	id := &wire.Identity{Name: "n", Uuid: "u", Pid: 4}
	for name, s := range map[string]*wire.Start{
		"empty": {}, "with all that most have": {Endpoint: "e", Kind: 2, Fingerprint: 1 << 63, Codec: "cbor", Timeout: 1 << 40, Window: &wire.Window{Messages: 1, Bytes: 1 << 40}},
		"negative numbers": {Kind: -1, Timeout: -1}, "an empty window": {Window: &wire.Window{}}, "of a later version": later,
		"a target": {Endpoint: "e", Target: &wire.Address{Path: "p", Actor: id}}, "an opener": {Opener: &wire.Address{Actor: id}, Window: &wire.Window{Bytes: 5}},
		"metadata": {Metadata: map[string]string{"key": "value"}, Codec: "json"}, "a trace": {TraceHigh: 1 << 63, TraceLow: 1, Span: 2, Sampled: true, Tracestate: "a=b"},
	} {
		f := &wire.Frame{Dialog: 7, Kind: wire.Kind_KIND_START, Start: s, Credit: s.Window, Window: s.Window}
		got, err := wire.AppendFrame(nil, f)
		want, wantErr := proto.MarshalOptions{Deterministic: true}.Marshal(&wire.Packet{Frames: []*wire.Frame{f}})
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, protobuf makes %x, %v", name, got, err, want, wantErr)
		}
	}
	for _, bad := range []*wire.Start{{Endpoint: "\xff"}, {Codec: "\xff"}} {
		if _, err := wire.AppendFrame(nil, &wire.Frame{Start: bad}); err == nil {
			t.Errorf("%v is encoded", bad)
		}
	}
}

// A small payload does not keep a large frame in memory.
func TestPacketReaderKeepsNoLargeFrameForASmallPayload(t *testing.T) {
	frame := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), make([]byte, 1<<20))
	frame = protowire.AppendBytes(protowire.AppendTag(frame, 3, protowire.BytesType), []byte("x"))
	p, err := wire.NewPacketReader(bytes.NewReader(protowire.AppendBytes([]byte{0x0a}, frame))).Next()
	if err != nil {
		t.Fatal(err)
	}
	if payload := p.Frames[0].Payload; string(payload) != "x" || cap(payload) > 64 {
		t.Errorf("the payload is %q, in %d bytes", payload, cap(payload))
	}
}

// Whole frames are given before what is behind them breaks the connection.
func TestPacketReaderGivesWhatCameBeforeGarbage(t *testing.T) {
	good := encoded(t, &wire.Packet{Frames: []*wire.Frame{{Dialog: 1, Kind: wire.Kind_KIND_RETURN, Payload: []byte("done")}, {Dialog: 3}}})
	for name, bad := range map[string]string{
		"no frame": "\xff", "a frame that cannot be read": "\n\x01\x08", "a frame that is too large": "\n\x81\x80\x80\x04",
	} {
		r := wire.NewPacketReader(bytes.NewReader(append(bytes.Clone(good), bad...)))
		frames, err := readAll(r)
		if len(frames) != 2 || !proto.Equal(frames[0], &wire.Frame{Dialog: 1, Kind: wire.Kind_KIND_RETURN, Payload: []byte("done")}) {
			t.Errorf("%s: %d frames came before it: %v", name, len(frames), frames)
		}
		if err == nil || !strings.Contains(err.Error(), "frame") && !strings.Contains(err.Error(), "packet") {
			t.Errorf("%s: %v", name, err)
		}
		if _, again := r.Next(); again == nil || again.Error() != err.Error() {
			t.Errorf("%s: it goes on with %v after %v", name, again, err)
		}
	}
}
