package wire_test

import (
	"bytes"
	"testing"

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
