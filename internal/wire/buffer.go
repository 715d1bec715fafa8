package wire

import (
	"bytes"
	"math/bits"
	"sync"
)

// Buffer is memory for a payload on its way out. It has one owner at a time, who
// writes into it, gives it away, or frees it when nobody uses its bytes any more.
type Buffer struct {
	bytes.Buffer
	scratch bool // of no size that was asked for
}

// Sizes of buffers that are used again are powers of two.
const (
	smallestBuffer = 9  // 512 bytes
	largestBuffer  = 23 // 8 MiB
	largestScratch = 64 << 10
)

var (
	sized   [largestBuffer - smallestBuffer + 1]sync.Pool
	scratch = sync.Pool{New: func() any { return &Buffer{scratch: true} }}
)

// NewBuffer gives an empty buffer with room for size bytes.
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

// NewScratch gives an empty buffer for a size that is not known.
func NewScratch() *Buffer { return scratch.Get().(*Buffer) }

// Append writes what an AvailableBuffer has become, if that went well.
func (b *Buffer) Append(more []byte, err error) error {
	if err == nil {
		_, err = b.Write(more)
	}
	return err
}

// Free lets the buffer's memory be used again. A nil buffer is freed already.
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
