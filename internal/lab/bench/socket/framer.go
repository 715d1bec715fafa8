package socket

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

const (
	buffer    = 64 << 10
	mostBytes = 64 << 20 // of a frame
)

// Framer reads and writes frames on a connection.
type Framer struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	last []byte // the frame that was read last
}

// NewFramer is for one end of a connection.
func NewFramer(conn net.Conn) *Framer {
	return &Framer{conn: conn, in: bufio.NewReaderSize(conn, buffer), out: bufio.NewWriterSize(conn, buffer)}
}

func (f *Framer) serve() error {
	request, err := f.Next()
	if err != nil {
		return err
	}
	if len(request) == 8 {
		message := make([]byte, binary.BigEndian.Uint64(request))
		for err == nil {
			err = f.Put(message)
		}
		return err
	}
	for {
		m, err := f.Next()
		if err == nil {
			err = f.Put(m)
		}
		if err == nil && f.in.Buffered() == 0 { // else more goes out with it
			err = f.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// Close closes the connection.
func (f *Framer) Close() error { return f.conn.Close() }

// Flush sends what has been written.
func (f *Framer) Flush() error { return f.out.Flush() }

// Send sends a frame at once.
func (f *Framer) Send(message []byte) error {
	if err := f.Put(message); err != nil {
		return err
	}
	return f.Flush()
}

// Put sends a frame with the next Flush, or before.
func (f *Framer) Put(message []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(message)))
	if _, err := f.out.Write(head[:]); err != nil {
		return err
	}
	_, err := f.out.Write(message)
	return err
}

// Next returns the next frame, which is good until the one after.
func (f *Framer) Next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > mostBytes {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if int(n) > cap(f.last) {
		f.last = make([]byte, n)
	}
	f.last = f.last[:n]
	_, err := io.ReadFull(f.in, f.last)
	return f.last, err
}
