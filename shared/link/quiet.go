package link

import (
	"net"
	"sync"
)

// quietConn lies below TLS, whose records have 16 KiB at most. It keeps what TLS
// writes until it is pushed, so that a packet of many records is one write to the socket.
// While it does not hold it is the connection below and nothing else.
type quietConn struct {
	net.Conn

	mu      sync.Mutex // the reader of TLS may write as well
	holds   bool
	pending []byte // not yet in the socket
}

// hold says whether Write keeps what it gets. What is pending must have been pushed.
func (q *quietConn) hold(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holds = on
}

func (q *quietConn) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.holds {
		return q.Conn.Write(b)
	}
	q.pending = append(q.pending, b...)
	return len(b), nil
}

// mostKept bounds the buffer that stays when it is empty, in bytes.
const mostKept = 1 << 20

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
