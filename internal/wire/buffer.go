package wire

import (
	"bytes"
	"math/bits"
	"sync"
)

// Buffer is memory for a payload on its way out. It has one owner at a time, who writes into it,
// gives it away, or frees it when nobody uses its bytes any more. There is no lock: ownership
// is what keeps two goroutines apart. One that is never freed is only garbage.
type Buffer struct {
	bytes.Buffer
	scratch bool // from NewScratch; it goes back to that pool
}

// Sizes of buffers that are used again are powers of two, one pool for each. The first two are
// exponents. A scratch buffer that has become larger than largestScratch bytes is not kept:
// one large value must not leave its memory with all the small ones that come later.
const (
	smallestBuffer = 9  // 512 bytes
	largestBuffer  = 23 // 8 MiB
	largestScratch = 64 << 10
)

var (
	sized   [largestBuffer - smallestBuffer + 1]sync.Pool
	scratch = sync.Pool{New: func() any { return &Buffer{scratch: true} }}
)

// NewBuffer gives an empty buffer with room for size bytes. Sizes are rounded up to a pool's, so
// that a buffer can serve any payload of its class later; larger ones than the largest pool's
// are made as they are.
func NewBuffer(size int) *Buffer {
	class := max(smallestBuffer, bits.Len(uint(max(1, size)-1)))
	if class <= largestBuffer {
		if b, ok := sized[class-smallestBuffer].Get().(*Buffer); ok {
			return b
		}
		size = 1 << class
	}
	return &Buffer{Buffer: *bytes.NewBuffer(make([]byte, 0, size))}
}

// NewScratch gives an empty buffer for a size that is not known, such as that of a value which
// is to be encoded. It grows while it is written, and keeps what it has grown to.
func NewScratch() *Buffer { return scratch.Get().(*Buffer) }

// Append writes what an AvailableBuffer has become, if that went well. An encoder that appends to
// b.AvailableBuffer() has usually written into the buffer's own memory, and then this copies
// nothing; only where the room was too small does the value lie elsewhere.
func (b *Buffer) Append(more []byte, err error) error {
	if err == nil {
		_, err = b.Write(more)
	}
	return err
}

// Free lets the buffer's memory be used again. A nil buffer is freed already, so that owners of
// payloads without a buffer need no branch. One that has grown goes to the pool whose size it
// still covers, which is why the capacity is rounded down here and up in NewBuffer.
func (b *Buffer) Free() {
	if b == nil {
		return
	}
	b.Reset()
	if b.scratch {
		if b.Cap() <= largestScratch {
			scratch.Put(b)
		}
	} else if class := bits.Len(uint(b.Cap())) - 1; class >= smallestBuffer && class <= largestBuffer {
		sized[class-smallestBuffer].Put(b)
	}
}
