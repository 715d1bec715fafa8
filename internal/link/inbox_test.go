package link

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

const testLimit = 1 << 10

func piece(id uint64, kind wire.Kind, payload string, more bool) *wire.Frame {
	return &wire.Frame{Dialog: id, Kind: kind, Payload: []byte(payload), More: more}
}

func TestAssemblerKeepsTheLastPiecesFields(t *testing.T) {
	a := assembler{limit: testLimit}
	for _, p := range []*wire.Frame{piece(1, wire.Kind_KIND_YIELD, "ab", true), piece(1, wire.Kind_KIND_YIELD, "", true)} {
		if f, err := a.whole(p); f != nil || err != nil {
			t.Fatalf("a piece: %v, %v", f, err)
		}
	}
	between := piece(2, wire.Kind_KIND_CANCEL, "", false)
	if f, err := a.whole(between); f != between || err != nil {
		t.Fatalf("a control frame between the pieces: %v, %v", f, err)
	}
	last := piece(1, wire.Kind_KIND_YIELD, "cd", false)
	last.Probe = true
	if f, err := a.whole(last); err != nil || string(f.Payload) != "abcd" || !f.Probe || f.More {
		t.Fatalf("the whole: %v, %v", f, err)
	}
	if a.partial != nil {
		t.Error("something is left")
	}
}

func TestAssemblerRefusesWhatIsTooLarge(t *testing.T) {
	a := assembler{limit: testLimit}
	half := string(make([]byte, testLimit/2+1))
	if f, err := a.whole(piece(1, wire.Kind_KIND_YIELD, half+half, false)); f != nil || !errors.Is(err, fault.ErrProtocol) {
		t.Errorf("in one: %v, %v", f, err)
	}
	_, first := a.whole(piece(1, wire.Kind_KIND_YIELD, half, true))
	_, second := a.whole(piece(1, wire.Kind_KIND_YIELD, half, true))
	if first != nil || !errors.Is(second, fault.ErrProtocol) || a.partial != nil {
		t.Errorf("in pieces: %v, %v", first, second)
	}
}

// What a payload is announced to have is a hint: a peer gets no memory for it.
func TestAssemblerDoesNotTrustAnnouncements(t *testing.T) {
	a := assembler{limit: 64 << 20}
	first := piece(1, wire.Kind_KIND_YIELD, "", true)
	first.Total = 64 << 20
	if _, err := a.whole(first); err != nil {
		t.Fatal(err)
	}
	if n := cap(a.partial.Payload); n > reserved {
		t.Errorf("%d bytes are reserved for an announcement", n)
	}
	f, err := a.whole(piece(1, wire.Kind_KIND_YIELD, "x", false))
	if err != nil || string(f.Payload) != "x" || cap(f.Payload) > 64 {
		t.Errorf("%v: a payload of %d bytes keeps %d", err, len(f.Payload), cap(f.Payload))
	}
}

// Memory that was only announced stays out of the pools, where it would wait for others.
func TestAssemblerFreesNothingThatWasOnlyAnnounced(t *testing.T) {
	wire.OverwriteFreed()
	a := assembler{limit: 64 << 20}
	first := piece(1, wire.Kind_KIND_YIELD, "a", true)
	first.Total = 1 << 20
	if _, err := a.whole(first); err != nil {
		t.Fatal(err)
	}
	announced := a.partial.Payload
	f, err := a.whole(piece(1, wire.Kind_KIND_YIELD, "b", false))
	if err != nil || string(f.Payload) != "ab" || wire.Pooled(f.Payload) || !wire.Pooled(announced) {
		t.Errorf("%v: %q, in memory of %d bytes; %d were announced", err, f.Payload, cap(f.Payload), cap(announced))
	}
	if string(announced) != "a" {
		t.Errorf("what was announced was freed: it begins with %q", announced)
	}
}

// FuzzAssembler takes any frames: what comes out is never over the limit, nothing
// is kept beyond it, and what came in whole comes out as it was.
func FuzzAssembler(f *testing.F) {
	for _, frames := range [][]*wire.Frame{
		{piece(1, wire.Kind_KIND_YIELD, "a", true), piece(1, wire.Kind_KIND_YIELD, "b", false)},
		{piece(1, wire.Kind_KIND_YIELD, "a", true), piece(2, wire.Kind_KIND_YIELD, "b", true)},
		{piece(1, wire.Kind_KIND_START, string(make([]byte, testLimit)), true), piece(1, wire.Kind_KIND_START, "x", true)},
		{piece(0, wire.Kind_KIND_HELLO, "", true), piece(0, wire.Kind_KIND_BYE, "", false)},
		{piece(1, wire.Kind_KIND_START, string(make([]byte, testLimit+2)), false)},
	} {
		b, err := proto.Marshal(&wire.Packet{Frames: frames})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p wire.Packet
		if proto.Unmarshal(b, &p) != nil {
			return
		}
		a := assembler{limit: testLimit}
		for _, frame := range p.Frames {
			payload, partial := bytes.Clone(frame.Payload), a.partial
			whole, err := a.whole(frame)
			switch {
			case a.partial != nil && len(a.partial.Payload) > testLimit:
				t.Fatalf("%d bytes are kept", len(a.partial.Payload))
			case a.partial != nil && cap(a.partial.Payload) > 2*testLimit:
				t.Fatalf("%d bytes of memory are kept", cap(a.partial.Payload))
			case err != nil && whole != nil || err == nil && whole == nil && !frame.More:
				t.Fatalf("%v became %v, %v", frame, whole, err)
			case whole == nil:
			case len(whole.Payload) > testLimit:
				t.Fatalf("%d bytes came out", len(whole.Payload))
			case partial == nil && !bytes.Equal(whole.Payload, payload):
				t.Fatalf("%q became %q", payload, whole.Payload)
			}
		}
	})
}
