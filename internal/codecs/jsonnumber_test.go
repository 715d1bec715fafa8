package codecs_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/internal/codecs"
)

type anywhere struct{ E any }

type places struct {
	anywhere
	A any
	L []any
	M map[string]any
	R [1]map[string][]any
	P *places
	X any `json:"x" cbor:"-"`
	N json.Number
	F float64
	U custom
}

// custom reads itself, and keeps the numbers that it has made.
type custom struct{ Own any }

func (c *custom) UnmarshalJSON(b []byte) error {
	c.Own = json.Number(b)
	return nil
}

// B08: a number in a place for any value is what it was, of the same type with each codec.
func TestB08_NumbersInAnyAreExact(t *testing.T) {
	for text, want := range map[string]any{
		"9007199254740993": uint64(9007199254740993), "18446744073709551615": uint64(math.MaxUint64), "0": uint64(0),
		"-9007199254740993": int64(-9007199254740993), "-9223372036854775808": int64(math.MinInt64),
		"1.5": 1.5, "1e3": 1e3, "-0.5E-3": -0.0005, "null": nil, `"9"`: "9", "true": true,
	} {
		var got any
		if err := codecs.JSON.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %T %v, %v; want %T", text, got, got, err, want)
		}
		payload, err := marshal(codecs.CBOR, want)
		if err == nil {
			err = codecs.CBOR.Unmarshal(payload, &got)
		}
		if err != nil || got != want {
			t.Errorf("%s is %T %v, %v with CBOR; want %T", text, got, got, err, want)
		}
	}
	const n = uint64(9007199254740993)
	text := strings.ReplaceAll(`{"E":#,"A":{"a":[#,{"b":#}]},"L":[#,"x"],"M":{"m":#},"R":[{"r":[#]}],"P":{"A":#},"x":#,"N":#,"F":2,"U":#}`, "#", "9007199254740993")
	want := places{
		anywhere: anywhere{n}, A: map[string]any{"a": []any{n, map[string]any{"b": n}}}, L: []any{n, "x"}, M: map[string]any{"m": n},
		R: [1]map[string][]any{{"r": {n}}}, P: &places{A: n}, X: n, N: "9007199254740993", F: 2, U: custom{json.Number("9007199254740993")},
	}
	var got places
	if err := codecs.JSON.Unmarshal([]byte(text), &got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(places{})); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"18446744073709551616", "-9223372036854775809", "1e400", strings.Repeat("9", 1<<20)} {
		err := codecs.JSON.Unmarshal([]byte(`{"a":`+text+`}`), new(map[string]any))
		if err == nil || !strings.Contains(err.Error(), "is too large for a value of any type") || len(err.Error()) > 200 {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}
