package codecs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/codecs"
)

type node struct {
	Next   *node
	Parent *node `json:"-"`
	Kids   map[string]*node
	Any    any
}

type (
	chain *chain
	list  []list
	table map[string]table
)

type embedded struct {
	*node

	At time.Time
}

// selfMade is coded by its own method, which knows where it ends.
type selfMade struct{ Self *selfMade }

func (selfMade) MarshalCBOR() ([]byte, error) { return []byte{0xf6}, nil }

// long is a list of n levels.
func long(n int) (first *node) {
	for range n {
		first = &node{Next: first}
	}
	return first
}

func ring() *node {
	n := long(3)
	n.Next.Next.Next = n
	return n
}

func deep(n int) (v any) {
	for range n {
		v = []any{v}
	}
	return v
}

func TestP08_ValuesThatContainThemselves(t *testing.T) {
	var c chain
	c = &c
	l := make(list, 2)
	l[1] = l
	m := table{}
	m["m"] = m
	dynamic := map[string]any{}
	dynamic["list"] = []any{1, dynamic}
	twice := &node{}
	twice.Kids = map[string]*node{"a": twice, "b": twice}
	for name, v := range map[string]any{
		"ring": ring(), "pointer": c, "slice": l, "map": m, "any": dynamic, "in any": node{Any: ring()}, "two ways": twice,
		"embedded": embedded{node: ring()}, "list of them": []*node{nil, ring()}, "in a map": map[string]node{"a": *ring()},
		"tagged": cbor.Tag{Number: 1000, Content: ring()},
	} {
		b, err := marshal(codecs.CBOR, v)
		if err == nil || !strings.Contains(err.Error(), "the value contains itself") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestP08_ValuesThatOnlyLookAsIfTheyContainedThemselves(t *testing.T) {
	shared := long(2)
	parent := long(2)
	parent.Next.Parent = parent
	ends := &selfMade{}
	ends.Self = ends
	for name, v := range map[string]any{
		"nothing": nil, "nil": (*node)(nil), "list": long(64), "shared": []*node{shared, shared}, "not coded": parent,
		"empty": []list{{}, {}}, "nil map": table(nil), "own method": ends, "64 levels": deep(64),
		"embedded": long2(64), "a dynamic value": map[string]any{"a": []any{1, "b", nil, time.Time{}}},
	} {
		b, err := marshal(codecs.CBOR, v)
		var got any
		if err == nil {
			err = codecs.CBOR.Unmarshal(b, &got)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// long2 is a list of n levels whose first one is two structs in Go.
func long2(n int) embedded { return embedded{node: long(n)} }

// What no receiver takes is refused where it is sent.
func TestP08_ValuesThatAreTooDeep(t *testing.T) {
	var c chain
	for range 2000 {
		next := c
		c = &next
	}
	for name, v := range map[string]any{"list": long(65), "any": deep(65), "long": long(1 << 20), "pointers": c} {
		b, err := marshal(codecs.CBOR, v)
		if err == nil || !strings.Contains(err.Error(), "more than 64 levels deep") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// jsonMade is coded by its own method in JSON, which knows where it ends, and jsonText by that of its text.
type (
	jsonMade struct{ Self *jsonMade }
	jsonText struct{ Self *jsonText }
)

func (jsonMade) MarshalJSON() ([]byte, error)  { return []byte(`{}`), nil }
func (*jsonText) MarshalText() ([]byte, error) { return []byte("{}"), nil }

// JSON is refused where it is sent only for what its own decoder does not take.
func TestP08_JSONHasBoundsOfItsOwn(t *testing.T) {
	made, text := &jsonMade{}, &jsonText{}
	made.Self, text.Self = made, text
	hidden := struct {
		Up any `json:"-" cbor:"up"`
	}{ring()}
	const most = 10_000
	for name, v := range map[string]any{
		"list": long(65), "any": deep(65), "deepest list": long(most), "deepest any": deep(most),
		"own method": made, "own text": []any{text}, "not coded": hidden,
	} {
		b, err := marshal(codecs.JSON, v)
		var got any
		if err == nil {
			err = codecs.JSON.Unmarshal(b, &got)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]any{"ring": ring(), "list": long(most + 1), "any": deep(most + 1), "long": long(1 << 20)} {
		b, err := marshal(codecs.JSON, v)
		if err == nil || !strings.Contains(err.Error(), "the value contains itself, or is nested more than 10000 levels deep") {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	deepest := strings.Repeat("[", most+1) + strings.Repeat("]", most+1)
	if err := codecs.JSON.Unmarshal([]byte(deepest), new(any)); err == nil {
		t.Error("the decoder takes more levels than the encoder")
	}
}

// A value of a type that has an end is not walked, and costs nothing more.
func TestP08_OrdinaryValuesAreNotWalked(t *testing.T) {
	v := record2{Names: make([]string, 1000), Sizes: map[string][]int{"a": {1}}}
	// The least of several runs: the encoder's pool is emptied now and then, and at
	// random under the race detector.
	least := func(f func()) float64 {
		n := testing.AllocsPerRun(1, f)
		for range 200 {
			n = min(n, testing.AllocsPerRun(1, f))
		}
		return n
	}
	want := least(func() { must(t)(cbor.Marshal(v)) })
	if got := least(func() { must(t)(marshal(codecs.CBOR, v)) }); got > want+1 {
		t.Errorf("%v allocations, the encoder alone has %v", got, want)
	}
}

type record2 struct {
	Names []string
	Sizes map[string][]int
}

func must(t *testing.T) func([]byte, error) {
	return func(_ []byte, err error) {
		if err != nil {
			t.Error(errors.Unwrap(err))
		}
	}
}
