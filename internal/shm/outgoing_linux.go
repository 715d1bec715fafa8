package shm

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// published is how many bytes are written before the peer is told, so that it reads while this end
// writes what follows.
const published = 32 << 10

// outgoing is the direction to the peer. mu guards all of it. Whoever writes holds it, also
// while it waits for the peer; besides, only the timer that gives memory back asks for it,
// and does not wait.
type outgoing struct {
	conn *Conn
	ctl  *controls
	ring []byte

	mu     sync.Mutex
	at     outward
	told   uint64 // the position that the peer knows
	asides uint64 // records that were sent
	head   [recordHead]byte
	parts  net.Buffers // of the record that is being sent

	raw      syscall.RawConn
	ringBell func(fd uintptr) (done bool)

	rest *time.Timer // gives the memory back, and is stopped while there is none
	warm bool        // something was written since it was given back
	seen uint64      // position when the timer went off last
}

func (w *outgoing) begin(c *Conn, ctl *controls, ring []byte) {
	w.conn, w.ctl, w.ring = c, ctl, ring
	w.raw, _ = c.sock.SyscallConn()      // which fails only without a connection
	w.ringBell = func(fd uintptr) bool { // made once, or each bell would allocate it
		_, _ = unix.Write(int(fd), []byte{bell}) // if that is full, the peer has something to wake it
		return true                              // false would wait
	}
	w.rest = time.AfterFunc(time.Hour, w.giveBack)
	w.rest.Stop()
}

// write puts a batch into the ring, and returns how many bytes of it. Without wait it
// stops when the ring is full.
func (w *outgoing) write(batch [][]byte, wait bool) (sent int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keepWarm()
	for _, part := range batch {
		n, err := w.put(part, wait)
		if sent += n; err != nil {
			return sent, err
		}
		if n < len(part) {
			break
		}
	}
	w.tell()
	return sent, nil
}

func (w *outgoing) put(part []byte, wait bool) (sent int, err error) {
	for sent < len(part) {
		next := part[sent:min(len(part), sent+published)]
		if w.at.room() < len(next) {
			if err := w.at.saw(w.ctl.head.Load()); err != nil {
				return sent, err
			}
		}
		n := w.at.put(w.ring, next)
		sent += n
		switch {
		case n == 0 && !wait:
			return sent, nil
		case n == 0:
			w.tell()
			if err := w.awaitRoom(); err != nil {
				return sent, err
			}
		case w.at.tail-w.told >= published:
			w.tell()
		}
	}
	return sent, nil
}

// tell publishes what was written, and wakes the peer if it sleeps.
func (w *outgoing) tell() {
	if w.told == w.at.tail {
		return
	}
	w.told = w.at.tail
	w.ctl.tail.Store(w.told)
	if w.ctl.reader.rouse() {
		_ = w.raw.Write(w.ringBell) // that the connection is closed, the reader finds too
	}
}

// awaitRoom waits until the peer has read something.
func (w *outgoing) awaitRoom() error {
	for {
		runtime.Gosched()
		if w.conn.closed.Load() {
			return net.ErrClosed
		}
		w.ctl.writer.word.Store(dozing)
		if err := w.at.saw(w.ctl.head.Load()); err != nil || w.at.room() > 0 {
			w.ctl.writer.word.Store(awake)
			return err
		}
		w.ctl.writer.doze(roomBound)
	}
}

// writeAside sends a batch as a record. Only when all of it is in the socket is it counted,
// so that a peer that sees the count does not wait long for it.
func (w *outgoing) writeAside(batch [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	size := 0
	for _, part := range batch {
		size += len(part)
	}
	if size == 0 {
		return nil
	}
	w.head[0] = record
	binary.NativeEndian.PutUint64(w.head[1:], w.at.tail)
	binary.NativeEndian.PutUint32(w.head[9:], uint32(size))
	w.parts = append(append(w.parts[:0], w.head[:]), batch...)
	rest := w.parts // which writing consumes
	_, err := rest.WriteTo(w.conn.sock)
	clear(w.parts)
	if err != nil {
		return err
	}
	w.countAside()
	return nil
}

// countAside tells the peer of a record that has been sent. A reader that sleeps on the
// socket stays as it is: the record has woken it, and it may have read that and be asleep
// again, waiting for a bell.
func (w *outgoing) countAside() {
	w.asides++
	w.ctl.asides.Store(w.asides)
	w.ctl.reader.rise()
}

// keepWarm notes that the ring's memory is in use, for the time being.
func (w *outgoing) keepWarm() {
	if !w.warm {
		w.warm = true
		w.rest.Reset(restBound)
	}
}

// giveBack frees the ring's memory if nothing was written for a while, and nothing is to be
// read. It is the writer's to free: nobody else knows that nothing is being written into
// it.
func (w *outgoing) giveBack() {
	if !w.conn.enter() {
		return
	}
	defer w.conn.leave()
	if !w.mu.TryLock() { // somebody writes
		w.rest.Reset(restBound)
		return
	}
	defer w.mu.Unlock()
	idle := w.seen == w.at.tail
	w.seen = w.at.tail
	if err := w.at.saw(w.ctl.head.Load()); err != nil || !idle || w.at.room() < Size {
		w.rest.Reset(restBound) // an impossible position is the next write's to refuse
		return
	}
	giveBack(w.ring)
	w.warm = false
}
