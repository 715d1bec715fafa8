package link

import (
	"encoding/binary"
	"net"
)

// recordConn lies below TLS while that tells two processes who they are. crypto/tls reads as much
// as it gets, and would take the first frames behind the last record into its own buffer. So
// this lets it read no further than to the end of a record, and what comes after the last one
// is still to be read from the connection below. It belongs to whoever reads, without a lock.
type recordConn struct {
	net.Conn

	done bool   // it is the connection below, and nothing else
	head []byte // of the record that is read, as far as it has come
	left int    // of that record, behind its head
}

// recordHead is how many bytes come before a record; its length is in the last two
// (RFC 8446, 5.1).
const recordHead = 5

func (c *recordConn) Read(b []byte) (int, error) {
	if c.done || len(b) == 0 {
		return c.Conn.Read(b)
	}
	if c.left > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.left)])
		c.left -= n
		return n, err
	}
	n, err := c.Conn.Read(b[:min(len(b), recordHead-len(c.head))])
	c.head = append(c.head, b[:n]...)
	if len(c.head) == recordHead {
		c.left = int(binary.BigEndian.Uint16(c.head[recordHead-2:]))
		c.head = c.head[:0]
	}
	return n, err
}
