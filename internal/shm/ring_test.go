package shm

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// A peer's position is taken if it can be true, and refused if not; and a refused one changes
// nothing. Positions may overflow.
func TestPositionsThatCannotBe(t *testing.T) {
	for _, base := range []uint64{0, 1, Size - 1, Size, math.MaxUint64 - 10} {
		for _, c := range []struct {
			what       string
			own, seen  uint64 // distances from base; own is ahead for a writer
			says       uint64
			outOK      bool
			left       int
			inTail, in uint64 // the same for a reader: what it has taken, and has seen written
			inOK       bool
		}{
			{what: "nothing new", own: 100, seen: 40, says: 40, outOK: true, left: Size - 60, in: 40, inTail: 40, inOK: true},
			{what: "some", own: 100, seen: 40, says: 70, outOK: true, left: Size - 30, in: 10, inTail: 40, inOK: true},
			{what: "all", own: 100, seen: 40, says: 100, outOK: true, left: Size, in: 0, inTail: 40, inOK: true},
			{what: "one beyond", own: 100, seen: 40, says: 101, in: 0, inTail: 40, inOK: true},
			{what: "one back", own: 100, seen: 40, says: 39, in: 0, inTail: 40},
			{what: "far beyond", own: 100, seen: 40, says: 1 << 63, in: 0, inTail: 40},
			{what: "a full ring", own: Size, seen: 0, says: Size, outOK: true, left: Size, in: 0, inTail: 0, inOK: true},
			{what: "more than a full ring", own: Size, seen: 0, says: Size + 1, in: 0, inTail: 0},
		} {
			o := outward{tail: base + c.own, head: base + c.seen}
			before := o
			switch err := o.saw(base + c.says); {
			case (err == nil) != c.outOK:
				t.Errorf("%s from %d: the writer says %v", c.what, base, err)
			case err == nil && o.room() != c.left:
				t.Errorf("%s from %d: room for %d, want %d", c.what, base, o.room(), c.left)
			case err != nil && (!errors.Is(err, ErrPeer) || o != before):
				t.Errorf("%s from %d: refused with %v, and %+v became %+v", c.what, base, err, before, o)
			}
			i := inward{head: base + c.in, tail: base + c.inTail}
			was := i
			switch err := i.saw(base + c.says); {
			case (err == nil) != c.inOK:
				t.Errorf("%s from %d: the reader says %v", c.what, base, err)
			case err == nil && i.ready() != int(c.says-c.in):
				t.Errorf("%s from %d: %d bytes are ready, want %d", c.what, base, i.ready(), c.says-c.in)
			case err != nil && (!errors.Is(err, ErrPeer) || i != was):
				t.Errorf("%s from %d: refused with %v, and %+v became %+v", c.what, base, err, was, i)
			}
		}
	}
}

// world is a ring with two honest ends: what each knows, and what is in shared memory.
type world struct {
	out        outward
	in         inward
	tail, head uint64 // as published
}

// Every interleaving of what two honest ends do, in pieces of a quarter of the ring, from every
// place that they can be in: no position is refused, the writer never writes over what has not
// been read, and the reader never reads what has not been written.
func TestRingModel(t *testing.T) {
	const piece, depth = Size / 4, 40
	steps := map[string]func(w *world) error{
		"write":   func(w *world) error { w.out.tail += uint64(min(piece, w.out.room())); return nil },
		"publish": func(w *world) error { w.tail = w.out.tail; return nil },
		"look":    func(w *world) error { return w.out.saw(w.head) },
		"read":    func(w *world) error { w.in.head += uint64(min(piece, w.in.ready())); return nil },
		"return":  func(w *world) error { w.head = w.in.head; return nil },
		"see":     func(w *world) error { return w.in.saw(w.tail) },
	}
	seen := map[world]bool{}
	states := []world{{}}
	for range depth {
		var next []world
		for _, s := range states {
			for name, step := range steps {
				w := s
				if err := step(&w); err != nil {
					t.Fatalf("%s in %+v: %v", name, s, err)
				}
				if w.in.head > w.tail || w.out.tail-w.head > Size || w.out.tail-w.in.head > Size {
					t.Fatalf("%s in %+v: the ends meet", name, s)
				}
				if !seen[w] {
					seen[w] = true
					next = append(next, w)
				}
			}
		}
		states = next
	}
	if len(seen) < 1000 {
		t.Errorf("only %d states were seen", len(seen))
	}
}

// What goes in comes out, whatever pieces it is written and read in.
func TestRingKeepsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ring := make([]byte, Size)
		start := rapid.Uint64().Draw(t, "start")
		out, in := outward{tail: start, head: start}, inward{head: start, tail: start}
		var queue []byte
		count := byte(0)
		sizes := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, Size+3))
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := make([]byte, sizes.Draw(t, "size"))
				for i := range b {
					count++
					b[i] = count
				}
				room := out.room()
				n := out.put(ring, b)
				if n != min(room, len(b)) {
					t.Fatalf("%d bytes of %d were written, with room for %d", n, len(b), room)
				}
				count -= byte(len(b) - n)
				queue = append(queue, b[:n]...)
				if err := in.saw(out.tail); err != nil {
					t.Fatal(err)
				}
			},
			"read": func(t *rapid.T) {
				b := make([]byte, sizes.Draw(t, "size"))
				n := in.take(ring, b, in.tail)
				if n != min(len(b), len(queue)) || !bytes.Equal(b[:n], queue[:n]) {
					t.Fatalf("%d bytes of %d were read, or others", n, len(queue))
				}
				queue = queue[n:]
				if err := out.saw(in.head); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// The two ends never touch the same byte at the same time, which the race detector sees in memory of
// Go's own.
func TestEndsOfARingNeverMeet(t *testing.T) {
	const total = 5 * Size
	var tail, head atomic.Uint64
	ring := make([]byte, Size)
	writer := task.Start(func() {
		var out outward
		b := make([]byte, 10_007) // no divisor of the ring's size
		for out.tail < total {
			if err := out.saw(head.Load()); err != nil {
				t.Error(err)
				return
			}
			if out.room() == 0 {
				runtime.Gosched() // with one processor nobody else runs
			}
			for i := range b {
				b[i] = byte((out.tail + uint64(i)) % 251)
			}
			out.put(ring, b[:min(len(b), int(total-out.tail))])
			tail.Store(out.tail)
		}
	})
	var in inward
	b := make([]byte, 8_191)
	for in.head < total {
		if err := in.saw(tail.Load()); err != nil {
			t.Error(err)
			break
		}
		if in.ready() == 0 {
			runtime.Gosched()
		}
		at := in.head
		for i, got := range b[:in.take(ring, b, in.tail)] {
			if got != byte((at+uint64(i))%251) {
				t.Fatalf("byte %d is %d", at+uint64(i), got)
			}
		}
		head.Store(in.head)
	}
	writer.Wait()
}

func TestPatience(t *testing.T) {
	var p patience
	tries := func(n int, hit bool) (tried int) {
		for range n {
			if p.try() {
				tried++
				p.learn(hit)
			}
		}
		return tried
	}
	if n := tries(100, true); n != 100 {
		t.Errorf("it was tried %d times of 100 while it paid", n)
	}
	if n := tries(6, false); n != 6 {
		t.Errorf("after hits it was given up at the %dth miss", n)
	}
	if n := tries(10_000, false); n < 100 || n > 200 {
		t.Errorf("it was tried %d times of 10,000 while it never paid, want once in 64 times", n)
	}
	tries(1_000, true)
	if n := tries(100, true); n != 100 {
		t.Errorf("it was tried %d times of 100 after it paid again", n)
	}
}
