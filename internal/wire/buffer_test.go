package wire_test

import (
	"testing"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// A buffer has the room that was asked for, and comes back empty.
func TestBuffersHaveRoom(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 4 << 10, 64<<10 + 9, 8 << 20, 8<<20 + 1} {
		for range 3 {
			b := wire.NewBuffer(size)
			if b.Len() != 0 || b.Available() < size {
				t.Errorf("%d bytes were asked for: it has %d and room for %d", size, b.Len(), b.Available())
			}
			b.Write(make([]byte, size+1)) // more than was said
			b.Free()
		}
	}
	for range 3 {
		b := wire.NewScratch()
		if b.Len() != 0 {
			t.Errorf("a new one has %d bytes", b.Len())
		}
		b.Write(make([]byte, 100<<10))
		b.Free()
	}
	(*wire.Buffer)(nil).Free()
}
