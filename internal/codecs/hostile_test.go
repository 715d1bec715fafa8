package codecs_test

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/codecs"
)

// bignum is a number of size bytes, with the tag for one that is negative or not.
func bignum(tag byte, size int) []byte {
	head := []byte{0xc0 | tag, 0x5a}
	return append(binary.BigEndian.AppendUint32(head, uint32(size)), bytes.Repeat([]byte{0xff}, size)...)
}

// X16: what decoding costs does not grow faster than what has come, and no error is larger
// than a line. Each of these took seconds, or gave megabytes of text.
func TestX16_DecodingCostsWhatComes(t *testing.T) {
	const size = 4 << 20
	type mixed struct {
		N big.Int
		S string
	}
	inMap := append([]byte{0xa1, 0x61, 'S'}, bignum(2, size)...)
	inPieces := append(append([]byte{0xc2, 0x5f}, bignum(2, size)[1:]...), 0xff)
	for name, c := range map[string]struct {
		data []byte
		into any
	}{
		"number":             {bignum(2, size), new(int)},
		"negative":           {bignum(3, size), new(int64)},
		"float":              {bignum(2, size), new(float64)},
		"text":               {bignum(2, size), new(string)},
		"bytes":              {bignum(2, size), new([]byte)},
		"anything":           {bignum(2, size), new(any)},
		"key":                {append(append([]byte{0xa1}, bignum(2, size)...), 0), new(map[any]int)},
		"field":              {inMap, new(record)},
		"beside a number":    {inMap, new(mixed)},
		"long number":        {bignum(2, size), new(big.Int)},
		"number in pieces":   {inPieces, new(*big.Int)},
		"tag of a number":    {[]byte{0xc2}, new(*big.Int)},
		"number cut off":     {bignum(2, size)[:5], new(*big.Int)},
		"long unknown key":   {append(append([]byte{0xa1, 0x7a}, bignum(2, size)[2:]...), 0xff), new(record)},
		"long text":          {append([]byte{0x7a}, bignum(2, size)[2:]...), new(int)},
		"tags of tags":       {bytes.Repeat([]byte{0xc5}, size), new(any)},
		"lists of lists":     {bytes.Repeat([]byte{0x81}, size), new(any)},
		"more than there is": {[]byte{0x9b, 0, 0, 0, 1, 0, 0, 0, 0}, new([]int)},
	} {
		err := codecs.CBOR.Unmarshal(c.data, c.into)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if n := len(err.Error()); n > 1<<10 {
			t.Errorf("%s: the error has %d bytes: %.100s…", name, n, err)
		}
	}
}

// Numbers of any size reach a type that has them.
func TestX16_NumbersWhereTheyAreWanted(t *testing.T) {
	type account struct {
		Balance big.Int
		Limits  []*big.Int
		Owner   string
	}
	huge := new(big.Int).Lsh(big.NewInt(3), 8*4000)
	want := account{Balance: *new(big.Int).Neg(huge), Limits: []*big.Int{huge, big.NewInt(7)}, Owner: "someone"}
	b, err := marshal(codecs.CBOR, want)
	if err != nil {
		t.Fatal(err)
	}
	var got account
	if err := codecs.CBOR.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Balance.Cmp(&want.Balance) != 0 || got.Limits[0].Cmp(huge) != 0 || got.Limits[1].Int64() != 7 || got.Owner != want.Owner {
		t.Errorf("got %v", got)
	}
}

// What comes is decoded or refused, whatever it is; and what one type takes, it takes again
// from its own encoding.
func FuzzCBOR(f *testing.F) {
	for _, text := range []string{
		"\xc2\x42\xff\xff", "\xc3\x41\x01", "\xc2\x5f\x41\x01\xff", "\xc2\x5a\x00\x20\x00\x00", "\xa1\x61S\xc2\x41\x01",
		"\xa2\x61a\x01\x61a\x02", "\x9f\x01\xff", "\xbf\x61N\x01\xff", "\xc5\xc5\xc5\x00", "\x81\x81\x81\x80", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xa1\x65Inner\xa1\x61F\xc2\x41\x01", "\xf9\x7e\x00", "\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", "\x7f\x61a\x61b\xff", "\xd8\x2a\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var n struct{ N, M *big.Int }
		if codecs.CBOR.Unmarshal(data, &n) == nil {
			again, err := marshal(codecs.CBOR, n)
			if err == nil {
				err = codecs.CBOR.Unmarshal(again, &n)
			}
			if err != nil {
				t.Fatalf("%x was taken, and then not: %v", data, err)
			}
		}
		var r record
		if codecs.CBOR.Unmarshal(data, &r) == nil && r.Any == nil {
			if _, err := marshal(codecs.CBOR, r); err != nil {
				t.Fatalf("%x was taken, and cannot be encoded: %v", data, err)
			}
		}
	})
}
