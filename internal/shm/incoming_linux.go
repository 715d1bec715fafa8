package shm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// What comes over the socket: a bell, or the head of a record.
const (
	bell       = 0
	record     = 1
	recordHead = 1 + 8 + 4 // with the position and the length
)

// socketBuffer is for bells and the heads of records; what is larger than it is not copied.
const socketBuffer = 512

// incoming is the direction from the peer. It belongs to whoever reads, which role says,
// but for what is atomic; sock and what is below it belong to the reader always. The
// channel turn has room for the one signal that can be.
type incoming struct {
	conn *Conn
	ctl  *controls
	ring []byte
	role roleBox
	turn chan struct{} // the leader has left, and the reader waits for that
	naps atomic.Bool   // the reader dozes, or is about to
	at   inward

	records uint64 // whose heads have been read
	place   uint64 // in the ring, of the record that is next
	left    int    // bytes of that record; 0 if there is none
	aside   bool   // what was read last was of a record
	end     error  // of the socket; nil while it is open

	bound             time.Duration // of a doze: dozeBound
	leading, spinning patience
	sleeps            atomic.Int64 // an honest peer rings once at most for each time that this end has slept

	sock  *bufio.Reader
	idles bool // it waits between two reads, and ends that when it is roused
	bells int64
	dozes patience
}

func (r *incoming) begin(c *Conn, ctl *controls, ring []byte) {
	r.conn, r.ctl, r.ring, r.bound = c, ctl, ring, dozeBound
	r.turn = make(chan struct{}, 1)
	r.sock = bufio.NewReaderSize(lifeline{r}, socketBuffer)
}

func (r *incoming) read(b []byte) (int, error) {
	for {
		if n, err := r.next(b); n > 0 || err != nil {
			return n, err
		}
		switch {
		case r.end != nil:
			return 0, r.end
		case r.conn.closed.Load():
			return 0, net.ErrClosed
		case r.sock.Buffered() == 0:
			r.idle(false, true)
		default:
			if err := r.hear(); err != nil && r.end == nil {
				return 0, err
			}
		}
	}
}

// next gives what there is. It waits only for the rest of a record that is known to have been sent.
// The ring is read up to where the next record belongs, and that record then.
func (r *incoming) next(b []byte) (int, error) {
	if err := r.look(); err != nil {
		return 0, err
	}
	return r.take(b)
}

// take is next for what is known to be there.
func (r *incoming) take(b []byte) (int, error) {
	limit := r.at.tail
	if r.left > 0 {
		limit = r.place
	}
	if n := r.at.take(r.ring, b, limit); n > 0 {
		r.ctl.head.Store(r.at.head)
		r.aside = false
		if r.ctl.writer.word.Load() != awake && Size-r.at.ready() >= Size/2 {
			r.ctl.writer.rouse() // which is never asleep on the socket; if it says so it lies
		}
		return n, nil
	}
	if r.left == 0 {
		return 0, nil
	}
	n, err := r.sock.Read(b[:min(len(b), r.left)])
	r.left -= n
	r.aside = true
	if n > 0 {
		return n, nil
	}
	return 0, unexpected(err)
}

// look loads what the peer says. The count of records is loaded after the position: a
// record that was sent before those bytes is counted then, and its head is read first.
func (r *incoming) look() error {
	tail := r.ctl.tail.Load()
	missing := r.missing()
	if err := r.at.saw(tail); err != nil {
		return err
	}
	if r.left > 0 || !missing {
		return nil
	}
	if r.end != nil {
		return unexpected(r.end)
	}
	for r.left == 0 {
		if err := r.hear(); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// missing reports whether a record has been counted that has not been read. One that was
// read before it was counted makes the difference negative for a moment.
func (r *incoming) missing() bool { return int64(r.ctl.asides.Load()-r.records) > 0 }

// some reports whether there is something to read, or an impossible position, which next refuses.
func (r *incoming) some() bool { return r.ctl.tail.Load() != r.at.head || r.missing() }

// hear reads one thing from the socket, and waits for it: a bell, or the head of a record.
func (r *incoming) hear() error {
	what, err := r.sock.ReadByte()
	switch {
	case err != nil:
		r.end = err
		return err
	case what == bell:
		r.countBells()
		return nil
	case what != record:
		return fmt.Errorf("the byte %d came over the socket, expected %d or %d", what, bell, record)
	}
	var head [recordHead - 1]byte
	if _, err := io.ReadFull(r.sock, head[:]); err != nil {
		return unexpected(err)
	}
	r.records++
	r.place = binary.NativeEndian.Uint64(head[:])
	r.left = int(binary.NativeEndian.Uint32(head[8:]))
	if err := r.at.saw(r.ctl.tail.Load()); err != nil {
		return err
	}
	if r.left == 0 || r.place-r.at.head > uint64(r.at.ready()) {
		return fmt.Errorf("%w: a record of %d bytes belongs at %d, between %d and %d were expected", ErrPeer, r.left, r.place, r.at.head, r.at.tail)
	}
	return nil
}

// countBells counts the bell that was read, and those that came with it.
func (r *incoming) countBells() {
	r.bells++
	for r.sock.Buffered() > 0 {
		if what, _ := r.sock.Peek(1); what[0] != bell {
			break
		}
		_, _ = r.sock.Discard(1) // it is there
		r.bells++
	}
	if r.bells > r.sleeps.Load() {
		r.conn.wary.Store(true)
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
