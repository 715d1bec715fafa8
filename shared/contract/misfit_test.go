package contract

import (
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/codecs"
)

// X16: an error is not larger than a few lines, however large what it complains of.
func TestX16_MisfitsAreShort(t *testing.T) {
	long := strings.Repeat("9", 1<<20)
	key := append(codecs.EncodeBytes([]byte(long)).Bytes(), 0)
	key[0] |= 3 << 5 // a text instead of bytes
	for name, decode := range map[string]func() error{
		"JSON number": func() error { _, err := decode[int](&signature{}, "json", "arguments", []byte(long)); return err },
		"JSON text": func() error {
			_, err := decode[int](&signature{}, "json", "arguments", []byte(`"`+long+`"`))
			return err
		},
		"JSON field": func() error {
			_, err := decode[struct{}](&signature{}, "json", "arguments", []byte(`{"`+long+`":1}`))
			return err
		},
		"CBOR key": func() error {
			_, err := decode[map[string]int](&signature{}, "cbor", "arguments", append(append([]byte{0xa2}, key...), key...))
			return err
		},
		"CBOR text":    func() error { _, err := decode[int](&signature{}, "cbor", "arguments", key[:len(key)-1]); return err },
		"unknown code": func() error { _, err := decode[int](&signature{}, long, "arguments", []byte{0}); return err },
	} {
		err := decode()
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if n := len(err.Error()); n > 2<<10 {
			t.Errorf("%s: the error has %d bytes", name, n)
		}
	}
}
