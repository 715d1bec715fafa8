package wire_test

import (
	"bytes"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// A payload has the size that was asked for, and an eighth of memory more at most.
func TestPayloadsHaveTheirSize(t *testing.T) {
	const largest = 1<<20 + 128<<10
	sizes := []int{0, 1, 1 << 10, 1<<10 + 1, 4<<10 + 3, 64<<10 + 5, 1<<20 + 5, largest, largest + 1}
	for size := 1 << 10; size < 9<<20; size += size/17 + 1 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		for range 3 {
			b := wire.NewPayload(size)
			if len(b) != size || cap(b) > size+size/8 {
				t.Errorf("%d bytes were asked for: it has %d, and memory for %d", size, len(b), cap(b))
			}
			if pooled := size > 1<<10 && size <= largest; wire.Pooled(b) != pooled {
				t.Errorf("%d bytes, used again: %t, want %t", size, !pooled, pooled)
			}
			wire.FreePayload(b)
		}
	}
}

// What has another capacity than the pools' is not taken, whatever it is part of.
func TestOtherMemoryIsNotPooled(t *testing.T) {
	b := wire.NewPayload(5000)
	for name, other := range map[string][]byte{"none": nil, "empty": {}, "a part": b[1:], "clipped": b[:5000:5000], "too large": make([]byte, 9<<20)} {
		if wire.Pooled(other) {
			t.Errorf("%s: a payload of %d bytes, of %d, would be used again", name, len(other), cap(other))
		}
		wire.FreePayload(other)
	}
}

func TestFreedPayloadsAreOverwritten(t *testing.T) {
	wire.OverwriteFreed()
	for _, size := range []int{1, 2000} {
		b := make([]byte, size) // which no pool takes
		wire.FreePayload(b)
		if !bytes.Equal(b, bytes.Repeat([]byte{0xDB}, size)) {
			t.Errorf("%d bytes can still be read", size)
		}
	}
}

// keeper decodes itself, and keeps what it was given, which it must not.
type keeper struct{ kept []byte }

func (k *keeper) UnmarshalBinary(b []byte) error { k.kept = b; return nil }

type holdsKeepers struct {
	Keepers map[string][]*keeper
	left    keeper
}

func TestTypesThatMayKeepWhatTheyAreDecodedFrom(t *testing.T) {
	_ = holdsKeepers{}.left
	for _, c := range []struct {
		of     any
		copies bool
	}{
		{[]byte(nil), true}, {"", true}, {time.Time{}, true}, {map[string]any{}, true}, {struct{ left keeper }{}, true},
		{keeper{}, false}, {&keeper{}, false}, {holdsKeepers{}, false}, {url.URL{}, false}, {cbor.RawMessage{}, false},
	} {
		of := reflect.TypeOf(c.of)
		if got := wire.Copies("cbor", of); got != c.copies {
			t.Errorf("%v: %t, want %t", of, got, c.copies)
		}
		if !wire.Copies("json", of) || !wire.Copies("proto", of) {
			t.Errorf("%v: JSON and protobuf never keep what they decode", of)
		}
	}
}

// A value of a type that copies is still the same when its payload is overwritten.
func TestDecodedValuesDoNotShareMemory(t *testing.T) {
	type all struct {
		Text  string
		Bytes []byte
		Array [4]byte
		Any   any
		List  []any
		Map   map[string][]byte
		Time  time.Time
		Inner *all
	}
	value := &all{
		Text: "text", Bytes: []byte("bytes"), Array: [4]byte{1, 2, 3, 4}, Any: []byte("any"), List: []any{"one", []byte("two"), map[string]any{"three": "four"}},
		Map:  map[string][]byte{"key": []byte("value")},
		Time: time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC),
	}
	value.Inner = &all{Text: "inner", Any: "any", Time: value.Time}
	if !wire.Copies("cbor", reflect.TypeOf(value)) {
		t.Fatal("it is not said to copy")
	}
	for _, c := range []wire.Codec{wire.CBOR, wire.JSON} {
		payload, err := marshal(c, value)
		if err != nil {
			t.Fatal(c.Name(), err)
		}
		var first, again all
		if err := c.Unmarshal(bytes.Clone(payload), &first); err != nil {
			t.Fatal(c.Name(), err)
		}
		if err := c.Unmarshal(payload, &again); err != nil {
			t.Fatal(c.Name(), err)
		}
		clear(payload)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%s: it was changed together with its payload: %s", c.Name(), diff)
		}
	}
	payload, err := marshal(wire.Proto, wrapperspb.Bytes([]byte("bytes")))
	if err != nil {
		t.Fatal(err)
	}
	var m wrapperspb.BytesValue
	if err := wire.Proto.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	clear(payload)
	if !proto.Equal(&m, wrapperspb.Bytes([]byte("bytes"))) {
		t.Errorf("protobuf: it was changed together with its payload: %v", &m)
	}
}
