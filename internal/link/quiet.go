package link

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// quietConn lies below TLS, whose records have 16 KiB at most. It keeps what TLS
// writes until it is pushed, so that a packet of many records is one write to the socket.
// While it does not hold it is the connection below and nothing else.
type quietConn struct {
	net.Conn

	// byRecord lets TLS read no further than to the end of a record, so that what
	// comes after it is still to be read from the connection. It and the two below are the
	// reader's.
	byRecord bool
	head     []byte // of the record that is read, as far as it has come
	left     int    // of that record, behind its head

	mu      sync.Mutex // the reader of TLS may write as well
	holds   bool
	pending []byte // not yet in the socket
}

// recordHead is how many bytes come before a record; its length is in the last two
// (RFC 8446, 5.1).
const recordHead = 5

func (q *quietConn) Read(b []byte) (int, error) {
	if !q.byRecord || len(b) == 0 {
		return q.Conn.Read(b)
	}
	if q.left > 0 {
		n, err := q.Conn.Read(b[:min(len(b), q.left)])
		q.left -= n
		return n, err
	}
	n, err := q.Conn.Read(b[:min(len(b), recordHead-len(q.head))])
	q.head = append(q.head, b[:n]...)
	if len(q.head) == recordHead {
		q.left = int(binary.BigEndian.Uint16(q.head[recordHead-2:]))
		q.head = q.head[:0]
	}
	return n, err
}

// hold lets Write keep what it gets.
func (q *quietConn) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holds = true
}

// letGo ends hold: what is pending goes out before anything that is written later.
func (q *quietConn) letGo() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holds = false
	_, err := q.Conn.Write(q.pending)
	q.pending = nil
	return err
}

func (q *quietConn) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.holds {
		return q.Conn.Write(b)
	}
	if len(q.pending) > mostPending {
		return 0, errors.New("the peer makes TLS answer, and does not read the answers")
	}
	q.pending = append(q.pending, b...)
	return len(b), nil
}

// Bounds of the buffer, in bytes.
const (
	mostKept    = 1 << 20  // when it is empty
	mostPending = 64 << 20 // of a batch, which is smaller, and of what the reader of TLS adds
)

// push writes what is pending, and waits until the connection has taken it. It is
// called by one goroutine at a time.
func (q *quietConn) push() error {
	q.mu.Lock()
	pending := q.pending
	q.pending = nil
	q.mu.Unlock()
	_, err := q.Conn.Write(pending) // without mu: the reader must not wait for it
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending == nil && cap(pending) <= mostKept {
		q.pending = pending[:0]
	}
	return err
}
