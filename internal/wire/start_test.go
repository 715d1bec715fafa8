package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// starts are frames with a START that is read by hand, or looks so and must be left to protobuf.
func starts(t testing.TB) map[string][]byte {
	t.Helper()
	call := &wire.Start{
		Endpoint: "call", Kind: wire.EndpointKind_ENDPOINT_KIND_FUNC, Fingerprint: 1 << 63, Codec: "cbor", Timeout: -1,
		Attached: true, Overflow: wire.Overflow_OVERFLOW_KEEP, Arguments: 1 << 40,
		TraceHigh: 1, TraceLow: 1 << 63, Span: 2, Sampled: true, Tracestate: "a=b",
	}
	plain, err := proto.Marshal(&wire.Frame{Dialog: 1, Start: call})
	if err != nil {
		t.Fatal(err)
	}
	actor := func(name string) *wire.Identity { return &wire.Identity{Name: name, Uuid: name + "-uuid", Pid: -5} }
	relayed, err := proto.Marshal(&wire.Frame{Dialog: 1, Start: &wire.Start{
		Endpoint: "call", Target: &wire.Address{Path: "a/b", Actor: actor("b")}, Opener: &wire.Address{Path: "c", Actor: actor("c"), Joined: true},
		Window: &wire.Window{Messages: 1<<32 - 1, Bytes: 1 << 63},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := proto.Marshal(&wire.Frame{Start: &wire.Start{Endpoint: "other", Window: &wire.Window{Messages: 7}, Metadata: map[string]string{"a": "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"a call":                   plain,
		"nothing":                  []byte("\x4a\x00"),
		"a relayed one":            relayed,
		"a relayed one twice":      append(bytes.Clone(relayed), relayed...),
		"an empty address":         []byte("\x4a\x02\x1a\x00"),
		"a target twice":           []byte("\x4a\x0a\x1a\x03\x0a\x01a\x1a\x03\x12\x01\x08"),
		"an actor twice":           []byte("\x4a\x0c\x1a\x0a\x12\x03\x0a\x01a\x12\x03\x12\x01b"),
		"a window twice":           []byte("\x4a\x08\x52\x02\x08\x01\x52\x02\x10\x01"),
		"a window that goes on":    []byte("\x4a\x07\x52\x05\x08\x01\x10\x02\x0a"),
		"a path that is a number":  []byte("\x4a\x04\x1a\x02\x08\x01"),
		"one after the other":      append(bytes.Clone(plain), plain...),
		"more after a plain one":   append(bytes.Clone(plain), rest...),
		"plain after another one":  append(bytes.Clone(rest), plain...),
		"a name twice":             []byte("\x4a\x06\x0a\x01a\x0a\x01b"),
		"a number for a name":      []byte("\x4a\x04\x0a\x00\x08\x01"),
		"a text for a number":      []byte("\x4a\x03\x12\x01a"),
		"a kind beyond an int32":   []byte("\x4a\x07\x10\xff\xff\xff\xff\xff\x01"),
		"a field that is not here": []byte("\x4a\x05\x90\x01\x01\x10\x01"),
		"a short span":             []byte("\x4a\x05\x79\x01\x02\x03\x04"),
		"a state not UTF-8":        []byte("\x4a\x04\x8a\x01\x01\xff"),
		"a name that is not UTF-8": []byte("\x4a\x03\x0a\x01\xff"),
		"a cut name":               []byte("\x4a\x02\x0a\x05"),
		"field 0":                  []byte("\x4a\x02\x00\x01"),
	}
}

// packet puts frames into a packet.
func packet(frames ...[]byte) (b []byte) {
	for _, f := range frames {
		b = append(append(b, 0x0a, byte(len(f))), f...)
	}
	return b
}

func TestAStartIsReadAsProtobufReadsIt(t *testing.T) {
	for what, frame := range starts(t) {
		var want wire.Packet
		wantErr := known.Unmarshal(packet(frame, frame), &want)
		got, err := readAll(wire.NewPacketReader(bytes.NewReader(packet(frame, frame))))
		if (wantErr == nil) != (err == io.EOF) { //nolint:errorlint // the reader's own
			t.Errorf("%s: %v, protobuf says %v", what, err, wantErr)
		} else if read := (&wire.Packet{Frames: got}); wantErr == nil && !proto.Equal(read, &want) {
			t.Errorf("%s: it was read as %v, and protobuf reads %v", what, read, &want)
		}
	}
}

// repeated is a connection on which the same bytes come for ever.
type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	n = copy(p[:min(len(p), 1)], r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

// Names that have come before cost nothing; but a peer that never repeats one makes a reader keep
// only so many.
func TestNamesThatComeAgainAreKept(t *testing.T) {
	call := func(name string) []byte {
		f, err := proto.Marshal(&wire.Frame{Start: &wire.Start{Endpoint: name, Codec: "cbor"}})
		if err != nil {
			t.Fatal(err)
		}
		return packet(f)
	}
	conn := &repeated{b: call("first")}
	r := wire.NewPacketReader(conn)
	next := func() {
		if p, err := r.Next(); err != nil || len(p.Frames) != 1 {
			t.Fatalf("%v, %v", p, err)
		}
	}
	next()
	for i := range 1000 {
		conn.b = call(fmt.Sprintf("name %d", i))
		next()
	}
	for name, want := range map[string]float64{"first": 1, "name 999": 2} {
		conn.b = call(name)
		if got := testing.AllocsPerRun(100, next); got != want {
			t.Errorf("a START of %q costs %v allocations, want %v", name, got, want)
		}
	}
}

// Every field that most STARTs have is read without protobuf, which would make its texts anew each time.
func TestOrdinaryStartsCostLittle(t *testing.T) {
	of := &wire.Identity{Name: "actor", Uuid: "7b1c8f5e", Pid: 7}
	for name, c := range map[string]struct {
		start *wire.Start
		want  float64
	}{
		"func":    {&wire.Start{Endpoint: "e", Kind: 1, Codec: "cbor", Fingerprint: 1 << 63, Timeout: 9, Arguments: 70000}, 1},
		"context": {&wire.Start{Endpoint: "e", Kind: 3, Codec: "cbor", Window: &wire.Window{Messages: 64, Bytes: 9}, Attached: true, Overflow: 1}, 2},
		"relayed": {&wire.Start{Endpoint: "e", Target: &wire.Address{Path: "/a", Actor: of}, Opener: &wire.Address{Actor: of, Joined: true}}, 3},
	} {
		f, err := proto.Marshal(&wire.Frame{Start: c.start})
		if err != nil {
			t.Fatal(err)
		}
		r := wire.NewPacketReader(&repeated{b: packet(f)})
		next := func() {
			if p, err := r.Next(); err != nil || !proto.Equal(p.Frames[0].Start, c.start) {
				t.Fatalf("%s: %v, %v", name, p, err)
			}
		}
		next()
		plain := func() { _, _ = r.Next() }
		if got := testing.AllocsPerRun(100, plain); got != c.want {
			t.Errorf("%s: %v allocations, want %v", name, got, c.want)
		}
	}
}
