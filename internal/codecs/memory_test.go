package codecs_test

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

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// marshal returns what a codec makes of a value.
func marshal(c codecs.Codec, v any) ([]byte, error) {
	b := wire.NewScratch()
	defer b.Free()
	if err := c.Marshal(b, v, nil); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
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
		if got := codecs.Copies("cbor", of); got != c.copies {
			t.Errorf("%v: %t, want %t", of, got, c.copies)
		}
		if !codecs.Copies("json", of) || !codecs.Copies("proto", of) {
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
	if !codecs.Copies("cbor", reflect.TypeOf(value)) {
		t.Fatal("it is not said to copy")
	}
	for _, c := range []codecs.Codec{codecs.CBOR, codecs.JSON} {
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
	payload, err := marshal(codecs.Proto, wrapperspb.Bytes([]byte("bytes")))
	if err != nil {
		t.Fatal(err)
	}
	var m wrapperspb.BytesValue
	if err := codecs.Proto.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	clear(payload)
	if !proto.Equal(&m, wrapperspb.Bytes([]byte("bytes"))) {
		t.Errorf("protobuf: it was changed together with its payload: %v", &m)
	}
}
