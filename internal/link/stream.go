package link

import (
	"bufio"
	"errors"
	"fmt"
	"net"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// streamBuffer is as much as TLS puts into one record.
const streamBuffer = 16 << 10

// stream is a Transport over a connection such as TLS's: one endless packet in each direction. It cannot send
// without waiting, because nobody can tell how much of a record a connection takes. The link's reader uses
// in, whoever writes out, and Abort closes the connection under both.
type stream struct {
	conn net.Conn
	in   *wire.PacketReader
	out  *bufio.Writer // small parts share a record; large ones are not copied
}

// NewStream is a transport over a connection whose other end is known. The connection must have a method
// CloseWrite, as those of TLS and TCP do.
func NewStream(conn net.Conn) Transport {
	return &stream{conn, wire.NewPacketReader(conn), bufio.NewWriterSize(conn, streamBuffer)}
}

// Send writes a packet, and waits while the peer does not read.
func (s *stream) Send(b wire.Batch) error {
	for _, part := range b {
		if _, err := s.out.Write(part); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

func (s *stream) Recv() (*wire.Packet, error) { return s.in.Next() }

func (s *stream) Ahead() bool { return s.in.Ahead() }

// CloseSend tells the peer that nothing more comes, and still reads.
func (s *stream) CloseSend() error {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("a %T cannot be closed in one direction: %w", s.conn, errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

// Abort closes the connection below TLS, whose own Close may wait for a peer that does not read.
func (s *stream) Abort() {
	conn := s.conn
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	_ = conn.Close() // only the first one closes
}
