package link

import (
	"net"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// local is a Transport over a unix socket as it is: one endless packet in each direction.
// Only the two processes, and whoever may look into their memory, can read it; that is why it
// needs no encryption (docs/decisions/local-connection.md). The link's reader uses in, its
// writer parts, and Abort closes the socket under both.
type local struct {
	conn  *net.UnixConn
	in    *wire.PacketReader
	parts net.Buffers // of the packet that is written
}

func newLocal(conn *net.UnixConn) *local { return &local{conn: conn, in: wire.NewPacketReader(conn)} }

// Send writes a packet, in one system call where the kernel takes it. It waits while the peer
// does not read. parts is a copy, as writing consumes the list; its memory is used again.
func (l *local) Send(b wire.Batch) error {
	l.parts = append(l.parts[:0], b...)
	rest := l.parts // which writing consumes
	_, err := rest.WriteTo(l.conn)
	clear(l.parts)
	return err
}

func (l *local) Recv() (*wire.Packet, error) { return l.in.Next() }

func (l *local) CloseSend() error { return l.conn.CloseWrite() }

func (l *local) Abort() { _ = l.conn.Close() } // only the first one closes
