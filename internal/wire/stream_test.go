package wire_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// readAll returns all frames that come, copied, and why there are no more.
func readAll(r *wire.PacketReader) (frames []*wire.Frame, err error) {
	for {
		p, err := r.Next()
		if err != nil {
			return frames, err
		}
		for _, f := range p.Frames {
			c, _ := proto.Clone(f).(*wire.Frame)
			frames = append(frames, c)
		}
	}
}

// What comes in, in pieces of any size, is what went out; and all of it together is one
// packet for protobuf.
func TestPacketReaderReadsPacketsAsOne(t *testing.T) {
	all := packets()
	huge := bytes.Repeat([]byte("huge"), 80<<10) // larger than any buffer
	all["huge"] = &wire.Packet{Frames: []*wire.Frame{{Dialog: 9, Payload: huge, More: true}, {Dialog: 9, Payload: huge}}}
	names := slices.Sorted(maps.Keys(all))
	var sent bytes.Buffer
	var want []*wire.Frame
	for range 3 {
		for _, name := range names {
			sent.Write(encoded(t, all[name]))
			want = append(want, all[name].Frames...)
		}
	}
	var one wire.Packet
	if err := proto.Unmarshal(sent.Bytes(), &one); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&one, &wire.Packet{Frames: want}) {
		t.Error("protobuf reads something else")
	}
	for name, r := range map[string]io.Reader{
		"at once":       bytes.NewReader(sent.Bytes()),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(sent.Bytes())),
		"in halves":     iotest.HalfReader(bytes.NewReader(sent.Bytes())),
		"with an error": iotest.DataErrReader(bytes.NewReader(sent.Bytes())),
	} {
		got, err := readAll(wire.NewPacketReader(r))
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: it ended with %v", name, err)
		}
		if !proto.Equal(&wire.Packet{Frames: got}, &wire.Packet{Frames: want}) {
			t.Errorf("%s: %d frames came, which are not the %d that went out", name, len(got), len(want))
		}
	}
}

// Payloads belong to whoever got them: later frames do not change them.
func TestPacketReaderGivesPayloadsAway(t *testing.T) {
	var sent bytes.Buffer
	sizes := []int{1, 100, 255, 256, 5000, 70_000, 200_000, 3}
	for range 20 {
		for i, size := range sizes {
			sent.Write(encoded(t, &wire.Packet{Frames: []*wire.Frame{{Dialog: 1, Kind: wire.Kind(i % 2 * int(wire.Kind_KIND_YIELD)), Payload: bytes.Repeat([]byte{byte(i)}, size)}}}))
		}
	}
	var got [][]byte
	for r := wire.NewPacketReader(&sent); ; {
		p, err := r.Next()
		if err != nil {
			break
		}
		for _, f := range p.Frames {
			got = append(got, f.Payload)
		}
	}
	if len(got) != 20*len(sizes) {
		t.Fatalf("%d payloads came", len(got))
	}
	for i, payload := range got {
		want := bytes.Repeat([]byte{byte(i % len(sizes))}, sizes[i%len(sizes)])
		if !bytes.Equal(payload, want) {
			t.Fatalf("payload %d, of %d bytes, was changed", i, len(want))
		}
		_ = append(payload, "more than it has"...) // must not reach the neighbour
	}
	if !bytes.Equal(got[1], bytes.Repeat([]byte{1}, 100)) {
		t.Error("a payload reaches into the next one")
	}
}

// Large frames are read whatever way their sender has put their fields in order.
func TestPacketReaderReadsLargeFramesOfAnyOrder(t *testing.T) {
	payload := bytes.Repeat([]byte("large"), 20<<10)
	head := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7)
	head = protowire.AppendVarint(protowire.AppendTag(head, 2, protowire.VarintType), uint64(wire.Kind_KIND_YIELD))
	large := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), payload)
	small := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), []byte("small"))
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), make([]byte, 200))
	want := &wire.Frame{Dialog: 7, Kind: wire.Kind_KIND_YIELD, Payload: payload}
	for name, frame := range map[string][]byte{
		"payload last":           slices.Concat(head, large),
		"payload first":          slices.Concat(large, head),
		"payload in the middle":  slices.Concat(head[:2], large, head[2:]),
		"much before it":         slices.Concat(head, unknown, large),
		"something behind it":    slices.Concat(head, large, unknown),
		"another payload before": slices.Concat(small, head, large),
	} {
		sent := protowire.AppendBytes([]byte{0x0a}, frame)
		all := slices.Concat(sent, sent, sent)
		for way, r := range map[string]io.Reader{"at once": bytes.NewReader(all), "byte by byte": iotest.OneByteReader(bytes.NewReader(all))} {
			got, err := readAll(wire.NewPacketReader(r))
			if !errors.Is(err, io.EOF) || len(got) != 3 {
				t.Errorf("%s, %s: %d frames, %v", name, way, len(got), err)
			}
			for _, f := range got {
				if !proto.Equal(f, want) {
					t.Errorf("%s, %s: %v of dialog %d with %d bytes came", name, way, f.Kind, f.Dialog, len(f.Payload))
				}
			}
		}
		for _, cut := range []int{3, 4, 5, 40, 70, 100, 4100, 70_000, len(sent) - 1} {
			r := wire.NewPacketReader(bytes.NewReader(sent[:cut]))
			for range 2 { // it goes no further
				if got, err := readAll(r); !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 0 {
					t.Errorf("%s, the first %d bytes: %d frames, %v", name, cut, len(got), err)
				}
			}
		}
	}
}

func TestPacketReaderRefuses(t *testing.T) {
	for text, c := range map[string]struct {
		in   string
		want string
	}{
		"another field":  {"\x12\x00", "begins with the byte 0x12, expected 0xa"},
		"HTTP/2":         {"PRI * HTTP/2.0", "begins with the byte 0x50"},
		"too large":      {"\n\x81\x80\x80\x04", "has 8388609 bytes, the limit is 8388608"},
		"endless size":   {"\n" + strings.Repeat("\xff", 11), "cannot be read"},
		"cut size":       {"\n\x81", "unexpected EOF"},
		"cut frame":      {"\n\x05\x08\x01", "unexpected EOF"},
		"cut large":      {"\n\x80\x80\x08abc", "unexpected EOF"},
		"no frame":       {"\n\x01\x08", "a packet cannot be read"},
		"no large frame": {"\n\x80\x80\x08" + strings.Repeat("\xff", 1<<17), "a packet cannot be read"},
	} {
		frames, err := readAll(wire.NewPacketReader(strings.NewReader(c.in)))
		if err == nil || len(frames) > 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d frames, %v; want %q", text, len(frames), err, c.want)
		}
	}
}

// FuzzPacketReader takes any bytes: it gives what protobuf does.
func FuzzPacketReader(f *testing.F) {
	for _, p := range packets() {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(wire.NewPacketReader(iotest.HalfReader(bytes.NewReader(b))))
		if !errors.Is(err, io.EOF) {
			return
		}
		var want wire.Packet
		if err := known.Unmarshal(b, &want); err != nil {
			t.Fatalf("it was read, and protobuf says %v", err)
		}
		if read := (&wire.Packet{Frames: got}); !proto.Equal(read, &want) {
			t.Fatalf("it was read as %v, and protobuf reads %v", read, &want)
		}
	})
}

// NextNow reads once at most, gives what has come in full, and leaves large frames to Next.
func TestNextNowGivesWholeFramesOnly(t *testing.T) {
	small := encoded(t, &wire.Packet{Frames: []*wire.Frame{{Dialog: 1, Payload: []byte("small")}}})
	large := encoded(t, &wire.Packet{Frames: []*wire.Frame{{Dialog: 3, Payload: bytes.Repeat([]byte("l"), 100_000)}}})
	came := &parts{small[:3], small[3:], append(slices.Clone(small), small...), nil, large}
	r := wire.NewPacketReader(came)
	for i, want := range []int{0, 1, 2, 0, 0} {
		p, err := r.NextNow()
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if p != nil {
			got = len(p.Frames)
		}
		if got != want {
			t.Errorf("%d frames of part %d, want %d", got, i, want)
		}
		if empty := i == 1 || i == 2 || i == 3; r.Empty() != empty {
			t.Errorf("after part %d the reader is empty: %v", i, r.Empty())
		}
	}
	if p, err := r.Next(); err != nil || len(p.Frames) != 1 || len(p.Frames[0].Payload) != 100_000 {
		t.Errorf("the large one: %v, %v", p, err)
	}
}

// parts are read one at a time.
type parts [][]byte

func (p *parts) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}
