package codecs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

type record struct {
	N     int
	S     string
	P     *int
	List  []string
	Map   map[string]int
	Bytes []byte
	Any   any
	Time  time.Time
	Inner struct{ F float64 }
}

// TestP01_ValuesSurviveAsThemselves: nil, empty and zero are values like others,
// and each of them stays what it was.
func TestP01_ValuesSurviveAsThemselves(t *testing.T) {
	zero, n := 0, 7
	values := []any{
		0, -1, math.MinInt64, uint64(math.MaxUint64), 1.5, math.Inf(1), "", "text", "\x00", true, false,
		(*int)(nil), &zero, &n, []string(nil), []string{}, []string{""}, []byte(nil), []byte{}, []byte{0, 255},
		map[string]int(nil), map[string]int{}, map[string]int{"": 0}, map[int]bool{1: false},
		struct{}{}, record{}, record{N: 1, P: &zero, List: []string{}, Map: map[string]int{}, Bytes: []byte{}, Any: "x"},
		time.Duration(0), time.Hour, [2]int{}, [4]byte{1}, json.RawMessage(`{"a":1}`),
		[]*int{nil, &zero}, map[string][]string{"a": nil, "b": {}},
	}
	for _, c := range []codecs.Codec{codecs.CBOR, codecs.JSON} {
		for _, want := range values {
			b, err := marshal(c, want)
			if f, isFloat := want.(float64); isFloat && math.IsInf(f, 0) && c == codecs.JSON {
				if err == nil {
					t.Error("JSON has no infinity")
				}
				continue
			}
			got := reflect.New(reflect.TypeOf(want))
			if err == nil {
				err = c.Unmarshal(b, got.Interface())
			}
			if err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
				t.Errorf("%s: %T %#v became %#v, %v (% x)", c.Name(), want, want, got.Elem().Interface(), err, b)
			}
			if len(b) == 0 {
				t.Errorf("%s: %#v has no bytes", c.Name(), want)
			}
		}
		var none any
		b, err := marshal(c, none)
		got := any("something")
		if err == nil {
			err = c.Unmarshal(b, &got)
		}
		if err != nil || got != nil {
			t.Errorf("%s: nil became %#v, %v", c.Name(), got, err)
		}
	}
}

func TestP01_CBORTimesAndTexts(t *testing.T) {
	for _, want := range []time.Time{{}, time.Unix(0, 1).UTC(), time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))} {
		b, err := marshal(codecs.CBOR, want)
		var got time.Time
		if err == nil {
			err = codecs.CBOR.Unmarshal(b, &got)
		}
		if err != nil || !got.Equal(want) {
			t.Errorf("%v became %v, %v", want, got, err)
		}
	}
	const bad = "no \xff\xfe UTF-8"
	b, err := marshal(codecs.CBOR, bad)
	var got string
	if err == nil {
		err = codecs.CBOR.Unmarshal(b, &got)
	}
	if err != nil || got != bad {
		t.Errorf("%q, %v: what was sent is what arrives", got, err)
	}
}

func TestP08_JSONIsStrict(t *testing.T) {
	type args struct {
		Root  string
		Depth int
	}
	for text, want := range map[string]string{
		`{"Root":"/","Dept":1}`: `unknown field "Dept"`,
		`{"Root":"/"} {}`:       "something after the JSON value",
		`{"Root":"/"} garbage`:  "something after the JSON value",
		`{"Root":"/"}]`:         "something after the JSON value",
		``:                      "the payload is empty",
		"  \n":                  "the payload is empty",
		`{"Root":`:              "unexpected EOF",
		`{"Root":1}`:            "cannot unmarshal number into Go struct field args.Root of type string",
		`{"Depth":1.5}`:         "cannot unmarshal number 1.5",
		`[]`:                    "cannot unmarshal array",
	} {
		var a args
		err := codecs.JSON.Unmarshal([]byte(text), &a)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("%s: %v reads as the end of a stream", text, err)
		}
	}
	var a args
	if err := codecs.JSON.Unmarshal([]byte("  {\"root\":\"/\"}\n "), &a); err != nil || a.Root != "/" {
		t.Errorf("%v, %+v: white space is fine", err, a)
	}
}

func TestP08_CBORLimits(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x81}, n), 0x80) }
	for name, c := range map[string]struct {
		data []byte
		want string // in the error; "" if it is fine
	}{
		"empty":           {nil, "the payload is empty"},
		"trailing":        {[]byte{0x01, 0x02}, "extraneous data"},
		"cut short":       {[]byte{0x82, 0x01}, "EOF"},
		"huge count":      {[]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "exceed"},
		"lying count":     {[]byte{0x9a, 0x03, 0xff, 0xff, 0xff}, "EOF"},
		"reserved":        {[]byte{0x1c}, "invalid"},
		"64 levels":       {nested(62), ""},
		"too many levels": {nested(65), "nested"},
		"key twice":       {[]byte{0xa2, 0x61, 'a', 1, 0x61, 'a', 2}, "duplicate"},
	} {
		var v any
		err := codecs.CBOR.Unmarshal(c.data, &v)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestP01_CBORLargeCollections: what fits a message is not refused for its count.
func TestP01_CBORLargeCollections(t *testing.T) {
	list, table := make([]int, 200_000), map[int]bool{}
	for i := range list {
		list[i], table[i] = i, true
	}
	roundTrip(t, list)
	roundTrip(t, table)
}

func roundTrip[T any](t *testing.T, want T) {
	t.Helper()
	var got T
	b, err := marshal(codecs.CBOR, want)
	if err == nil {
		err = codecs.CBOR.Unmarshal(b, &got)
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%T: %v", want, err)
	}
}

func TestP08_ProtoWantsMessages(t *testing.T) {
	if _, err := marshal(codecs.Proto, 1); err == nil || !strings.Contains(err.Error(), "int is not a protobuf message") {
		t.Error(err)
	}
	var n int
	if err := codecs.Proto.Unmarshal(nil, &n); err == nil {
		t.Error("read into an int")
	}
	for _, want := range []*wire.Identity{{}, {Name: "n", Pid: -1}, nil} {
		b, err := marshal(codecs.Proto, want)
		got := &wire.Identity{}
		if err == nil {
			err = codecs.Proto.Unmarshal(b, got)
		}
		if want == nil {
			want = &wire.Identity{} // protobuf has no nil message
		}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%v became %v, %v", want, got, err)
		}
	}
}

func TestCodecsByName(t *testing.T) {
	for _, name := range []string{"cbor", "json", "proto"} {
		if c, err := codecs.ByName(name); err != nil || c.Name() != name {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	for _, name := range []string{"", "CBOR", "xml"} {
		if _, err := codecs.ByName(name); err == nil || !strings.Contains(err.Error(), "known are cbor, json and proto") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// S5: keys match exactly, as they do in other languages.
func TestCBORKeysMatchExactly(t *testing.T) {
	to := wire.NewScratch()
	defer to.Free()
	if err := codecs.CBOR.Marshal(to, map[string]int{"COUNT": 1, "count": 2}, nil); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Count int `json:"count"`
	}
	if err := codecs.CBOR.Unmarshal(to.Bytes(), &got); err != nil || got.Count != 2 {
		t.Errorf("got %+v, %v; want 2: COUNT is another key", got, err)
	}
	to2 := wire.NewScratch()
	defer to2.Free()
	if err := codecs.CBOR.Marshal(to2, map[string]int{"Count": 1}, nil); err != nil {
		t.Fatal(err)
	}
	got.Count = 0
	if err := codecs.CBOR.Unmarshal(to2.Bytes(), &got); err != nil || got.Count != 0 {
		t.Errorf("got %+v, %v; want 0: Count is another key", got, err)
	}
}

// P01: a mapping where any value may be is the same with each codec. Only CBOR has keys that
// are not texts.
func TestP01_MappingsInAny(t *testing.T) {
	type box struct{ A any }
	inner := map[string]any{"deep": []any{map[string]any{"k": "v"}}, "none": map[string]any{}}
	for _, c := range []codecs.Codec{codecs.CBOR, codecs.JSON} {
		b, err := marshal(c, box{inner})
		var got box
		if err == nil {
			err = c.Unmarshal(b, &got)
		}
		if err != nil || !reflect.DeepEqual(got, box{inner}) {
			t.Errorf("%s: got %#v, %v; want %#v", c.Name(), got, err, inner)
		}
	}
	b, err := marshal(codecs.CBOR, map[string]any{"texts": inner, "numbers": map[int]string{1: "x"}})
	var got any
	if err == nil {
		err = codecs.CBOR.Unmarshal(b, &got)
	}
	want := map[any]any{
		"texts":   map[any]any{"deep": []any{map[any]any{"k": "v"}}, "none": map[any]any{}},
		"numbers": map[any]any{uint64(1): "x"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v; want %#v", got, err, want)
	}
}
