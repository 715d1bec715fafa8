package wire

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Memory for the payloads of messages that come in. A payload has one owner at a time: the
// reader of its link, then its stream, then whoever takes it from there. An owner that is done
// with one may free it, and a later message lies there then; one that is never freed is only
// garbage. So nothing here needs to know who has a payload, or for how long.
//
// What lies in the pools is free memory, which the garbage collector takes when it has not been
// used for two of its cycles. Of each size it is never more than what payloads of that size had at
// one time, which is bounded (docs/bounds.md). It is not their sum that is bounded: a peer that
// fills its streams with one size after the other, within two cycles, leaves memory of each.

// Payloads of more bytes than smallestPooled, up to largestPooled, come from pools: there is one
// for each eighth of each power of two, so that a payload has an eighth of memory more than it
// needs at most. Smaller ones are not worth it. Larger ones are left to the collector: the more
// sizes there are, the more memory may lie in all pools together. The largest pool is for 1 MiB
// and what a codec adds to it.
const (
	smallestPooled = 1 << 10
	largestPooled  = 1<<20 + 1<<20/eighths
	eighths        = 8
)

var (
	payloads [eighths*10 + 1]sync.Pool // of *[]byte; 2^10 smallestPooled, and an eighth, are largestPooled
	headers  = sync.Pool{New: func() any { return new([]byte) }}

	// overwrites makes FreePayload write into what it is given.
	overwrites atomic.Bool
)

// sizeClass is the pool of payloads of this size, and the room that they have; ok is false if
// there is none.
func sizeClass(size int) (class, room int, ok bool) {
	if size <= smallestPooled || size > largestPooled {
		return 0, 0, false
	}
	power := bits.Len(uint(size-1)) - 1 // 2^power < size <= 2^(power+1)
	step := 1 << power / eighths
	steps := (size-1)/step + 1 // of which the first eight are 2^power
	return eighths*(power-bits.Len(smallestPooled)+1) + steps - eighths - 1, steps * step, true
}

// NewPayload gives memory for a payload of size bytes, with anything in it.
func NewPayload(size int) []byte {
	class, room, ok := sizeClass(size)
	if !ok {
		return make([]byte, size)
	}
	header, ok := payloads[class].Get().(*[]byte)
	if !ok {
		return make([]byte, size, room)
	}
	b := *header
	*header = nil
	headers.Put(header)
	return b[:size]
}

// Pooled reports whether another payload could lie in b after FreePayload. It goes by the
// capacity: where memory has come from does not matter to those that use it next.
func Pooled(b []byte) bool {
	_, room, ok := sizeClass(cap(b))
	return ok && room == cap(b)
}

// FreePayload takes memory that belongs to nobody else and is not used any more.
func FreePayload(b []byte) {
	if overwritten || overwrites.Load() {
		overwrite(b)
	}
	class, room, ok := sizeClass(cap(b))
	if !ok || room != cap(b) {
		return
	}
	header, _ := headers.Get().(*[]byte)
	*header = b
	payloads[class].Put(header)
}

// OverwriteFreed makes memory that is freed lose its content at once, so that whoever reads it later
// has something else: in tests, and always under the race detector, which reports it then.
func OverwriteFreed() { overwrites.Store(true) }

func overwrite(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
