package recorded_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/recording"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/trellistest/internal/recorded"
)

// The left side is what Go's codec makes of the value, and what a person reads.
func TestNotationOfValues(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{map[string]any{"path": "/src"}, `{"path": "/src"}`},
		{[]any{1, -1, 0, uint64(math.MaxUint64), int64(math.MinInt64)}, `[1, -1, 0, 18446744073709551615, -9223372036854775808]`},
		{[]any{true, false, nil}, `[true, false, null]`},
		{[]any{1.0, 1.5, 1e100, float32(1.5), -0.1}, `[1.0_3, 1.5_3, 1.0e+100_3, 1.5_2, -0.1_3]`},
		{[]any{math.NaN(), math.Inf(1), math.Inf(-1)}, `[NaN, Infinity, -Infinity]`},
		{[]byte{0, 255}, `h'00ff'`},
		{"Ü\n\"\\\x1b\u202e😀", `"\u00dc\n\"\\\u001b\u202e\ud83d\ude00"`},
		{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), `0("2026-01-02T03:04:05.000000006Z")`},
		{map[int]string{7: "x"}, `{7: "x"}`},
		{struct{}{}, `{}`},
	} {
		var b wire.Buffer
		if err := codecs.CBOR.Marshal(&b, test.value, nil); err != nil {
			t.Fatal(err)
		}
		text, ok := recording.Notation(b.Bytes())
		if text != test.want || !ok {
			t.Errorf("%v: got %s, %t, want %s", test.value, text, ok, test.want)
		}
		back, rest, err := recorded.ParseNotation(text)
		if err != nil || rest != "" || !bytes.Equal(back, b.Bytes()) {
			t.Errorf("%s: back as %x %q, %v; want %x", text, back, rest, err, b.Bytes())
		}
	}
}

// What others encode differently means the same, and comes back in the shortest form.
func TestNotationOfWhatOthersSend(t *testing.T) {
	for digits, want := range map[string]string{
		"1800": "00", "9f01ff": "8101", "bf6161f5ff": "a16161f5", "7f61616162ff": "626162", "5f4101ff": "4101", "7fff": "60", "5fff": "40",
		"f93e00": "f93e00", "f7": "f7", "f0": "f0", "f8ff": "f8ff", "c249010000000000000000": "c249010000000000000000", "c349010000000000000000": "c349010000000000000000",
		"c2420100": "190100", "3bffffffffffffffff": "3bffffffffffffffff",
	} {
		item, _ := hex.DecodeString(digits)
		text, ok := recording.Notation(item)
		back, rest, err := recorded.ParseNotation(text)
		if got := hex.EncodeToString(back); got != want || !ok || rest != "" || err != nil {
			t.Errorf("%s is %s, and back %s %q, %v; want %s", digits, text, got, rest, err, want)
		}
	}
}

func TestWhatHasNoNotation(t *testing.T) {
	for name, digits := range map[string]string{
		"nothing": "", "two items": "0000", "cut off": "820", "lone break": "ff", "text that is not UTF-8": "61ff",
		"list without its items": "9affffffff", "too many levels": strings.Repeat("81", 66) + "00", "too long": strings.Repeat("81", 1<<18) + "00",
	} {
		item, _ := hex.DecodeString(digits)
		if text, ok := recording.Notation(item); ok {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestNotationThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``:                       "expected a value, got the end of the line",
		`[1 2]`:                  `expected a comma or "]", got "2]"`,
		`{"a" 1}`:                `expected a colon, got "1}"`,
		`{1}`:                    `expected a colon, got "}"`,
		`"a`:                     "a text without its closing quote",
		`"\x"`:                   `is not a text as JSON has it`,
		`h'0'`:                   "expected hexadecimal digits and a quote",
		`0("x"`:                  `expected ")"`,
		`nul`:                    `"nul" is not a number`,
		`1.5_9`:                  "it does not have as many bits as it says",
		`1e9_1`:                  "it does not have as many bits as it says",
		`simple(24)`:             "expected simple(number)",
		`(_ 1)`:                  "expected pieces of one text or byte string",
		`(_ h'00', "a")`:         "expected pieces of one text or byte string",
		strings.Repeat("[", 100): "more than 64 levels",
	} {
		if _, _, err := recorded.ParseNotation(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// Whatever is CBOR has a text, which means the same: it has the same text again.
func FuzzNotation(f *testing.F) {
	for _, digits := range []string{"a1616101", "f93e00", "fb3ff8000000000000", "c074", "820102", "4200ff", "fa3fc00000", "f97e00", "9f01ff", "c249010000000000000000"} {
		item, _ := hex.DecodeString(digits)
		f.Add(item)
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		text, ok := recording.Notation(item)
		if !ok {
			return
		}
		back, rest, err := recorded.ParseNotation(text)
		if err != nil || rest != "" {
			t.Fatalf("%x is %s, which cannot be read: %q, %v", item, text, rest, err)
		}
		short, ok := recording.Notation(back)
		if again, _, err := recorded.ParseNotation(short); err != nil || !ok || !bytes.Equal(again, back) {
			t.Errorf("%x is %s, in the shortest form %s, and back %x, %v", item, text, short, again, err)
		}
		var was, is any
		if err := cbor.Unmarshal(item, &was); err != nil || bytes.ContainsAny(item, "\xc2\xc3") {
			return // it has no value in Go, or maybe one that is too long for it, but not as it is sent
		}
		if err := cbor.Unmarshal(back, &is); err != nil || fmt.Sprint(was) != fmt.Sprint(is) {
			t.Errorf("%x is %s, and back %x: %v, not %v, %v", item, text, back, is, was, err)
		}
	})
}
