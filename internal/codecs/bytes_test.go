package codecs_test

import (
	"bytes"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/codecs"
)

// Byte strings have a way of their own, which gives the same as the codec.
func TestBytesAreCodedAsCBOR(t *testing.T) {
	for _, size := range []int{0, 1, 23, 24, 255, 256, 4095, 4096, 65535, 65536, 1 << 20} {
		b := bytes.Repeat([]byte{7}, size)
		want, err := marshal(codecs.CBOR, b)
		if got := codecs.EncodeBytes(b).Bytes(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: begins with %x, want %x, %v", size, got[:min(10, len(got))], want[:min(10, len(want))], err)
		}
		if got, ok := codecs.DecodeBytes(want); !ok || !bytes.Equal(got, b) || got == nil {
			t.Errorf("%d bytes: %t, %d came back", size, ok, len(got))
		}
	}
}

// FuzzDecodeBytes takes any payload: what it accepts, the codec reads the same.
func FuzzDecodeBytes(f *testing.F) {
	for _, text := range []string{"", "\x40", "\x41a", "\x58\x01a", "\x59\x00\x01a", "\x5b\x00\x00\x00\x00\x00\x00\x00\x01a", "\x5f\x41a\xff", "\x43a", "\x41ab", "\x5b\xff", "\xf6", "\x81\x01"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := codecs.DecodeBytes(data)
		if !ok {
			return
		}
		var want []byte
		if err := codecs.CBOR.Unmarshal(data, &want); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x became %x, and %x by the codec, %v", data, got, want, err)
		}
	})
}
