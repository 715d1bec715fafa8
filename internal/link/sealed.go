package link

import (
	"crypto/tls"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// sealed is a Transport over TLS: one endless packet in each direction.
type sealed struct {
	conn  *tls.Conn
	below *quietConn
	in    *wire.PacketReader
}

func newSealed(conn *tls.Conn, below *quietConn) *sealed {
	below.hold()
	return &sealed{conn: conn, below: below, in: wire.NewPacketReader(conn)}
}

// Send writes a packet. It waits while the peer does not read.
func (s *sealed) Send(b wire.Batch) error {
	for _, part := range b {
		if _, err := s.conn.Write(part); err != nil {
			return err
		}
	}
	return s.below.push()
}

func (s *sealed) Recv() (*wire.Packet, error) { return s.in.Next() }

func (s *sealed) CloseSend() error {
	if err := s.below.letGo(); err != nil {
		return err
	}
	return s.conn.CloseWrite()
}

func (s *sealed) Abort() { _ = s.below.Close() } // only the first one closes
