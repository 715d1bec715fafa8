package shm

import (
	"errors"
	"fmt"
)

// Size is how many bytes a ring holds. A larger one would not stay in the processor's cache, and
// a message of 64 KiB is to fit while the one before it is being read.
const Size = 256 << 10

// ErrPeer says that the peer has written something into the shared memory that cannot be.
var ErrPeer = errors.New("the peer's positions in the shared memory cannot be")

// Positions count all bytes that ever went through a ring, so that a full one and an empty
// one differ. An end keeps both positions in memory of its own: its own as it is, and the
// peer's as it was when it was loaded last. They are compared by their distance, so it
// would be no harm if they overflowed.

// outward is the writer's account of a ring. The zero value is an empty ring.
type outward struct{ tail, head uint64 }

// saw takes a position of the reader. It can only go on, and only to where this end has written.
func (o *outward) saw(head uint64) error {
	if head-o.head > o.tail-o.head {
		return fmt.Errorf("%w: %d bytes were read, between %d and %d can have been", ErrPeer, head, o.head, o.tail)
	}
	o.head = head
	return nil
}

// room is how many bytes may be written.
func (o *outward) room() int { return Size - int(o.tail-o.head) }

// put writes as much of b as there is room for.
func (o *outward) put(ring, b []byte) int {
	first, second := span(ring, o.tail, min(len(b), o.room()))
	n := copy(first, b)
	n += copy(second, b[n:])
	o.tail += uint64(n)
	return n
}

// inward is the reader's account of a ring. The zero value is an empty ring.
type inward struct{ head, tail uint64 }

// saw takes a position of the writer. It can only go on, and only as far as the ring has room.
func (i *inward) saw(tail uint64) error {
	if tail-i.tail > i.head+Size-i.tail {
		return fmt.Errorf("%w: %d bytes were written, between %d and %d can have been", ErrPeer, tail, i.tail, i.head+Size)
	}
	i.tail = tail
	return nil
}

// ready is how many bytes may be read.
func (i *inward) ready() int { return int(i.tail - i.head) }

// take reads as much as b holds, and no further than to the position limit.
func (i *inward) take(ring, b []byte, limit uint64) int {
	first, second := span(ring, i.head, min(len(b), int(limit-i.head)))
	n := copy(b, first)
	n += copy(b[n:], second)
	i.head += uint64(n)
	return n
}

// span is where n bytes lie from a position on: the second part is what lies at the beginning of
// the ring.
func span(ring []byte, at uint64, n int) (first, second []byte) {
	from := int(at % Size)
	if from+n <= Size {
		return ring[from : from+n], nil
	}
	return ring[from:Size], ring[:from+n-Size]
}

// patience decides whether an end that finds nothing keeps a thread for what may come. That
// pays when the peer answers soon, and is tried less and less often while it does not. The
// zero value tries.
type patience struct {
	score int // of late: up with each hit, down with each miss
	skip  int // so many times it is not tried
}

const (
	mostScore  = 4
	leastScore = -8
	forgiven   = -2 // a score below is followed by pauses
	mostSkips  = 6  // log2 of the longest pause: once in 64 times it is tried always
)

// try reports whether to look for a while now.
func (p *patience) try() bool {
	if p.skip > 0 {
		p.skip--
		return false
	}
	return true
}

// learn takes what came of it.
func (p *patience) learn(hit bool) {
	if hit {
		p.score = min(p.score+1, mostScore)
		return
	}
	p.score = max(p.score-1, leastScore)
	if p.score < forgiven {
		p.skip = 1<<min(forgiven-p.score, mostSkips) - 1
	}
}
