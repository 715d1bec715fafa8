package link

import (
	"net"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/wire"
)

// local is a Transport over a unix socket as it is: one endless packet in each direction.
// Only the two processes, and whoever may look into their memory, can read it; that is why it
// needs no encryption (docs/decisions/local-connection.md). The link's reader uses in, whoever
// writes parts, sent and err, and Abort closes the socket under both.
type local struct {
	conn  *net.UnixConn
	in    *wire.PacketReader
	parts net.Buffers // of the packet that is written, those that are still to go

	raw  syscall.RawConn // the same connection, for writing without waiting
	now  func(fd uintptr) (done bool)
	sent int // bytes of parts that now has written, and what went wrong
	err  error
}

// NewLocal is a transport over a socket whose other end is known.
func NewLocal(conn *net.UnixConn) Transport {
	l := &local{conn: conn, in: wire.NewPacketReader(conn)}
	l.now = func(fd uintptr) bool { // made once, or each packet would allocate it
		l.sent, l.err = writeNow(int(fd), l.parts)
		return true // whatever came of it: false would wait
	}
	l.raw, _ = conn.SyscallConn() // which fails only without a connection
	return l
}

// SendNow writes what the kernel takes at once.
func (l *local) SendNow(b wire.Batch) (sent int, err error) {
	l.parts = append(l.parts[:0], b...)
	if err := l.raw.Write(l.now); err != nil {
		return 0, err
	}
	clear(l.parts)
	return l.sent, l.err
}

// Send writes a packet, in one system call where the kernel takes it. It waits while the peer
// does not read. Writing consumes the list of parts and clears what has gone; its memory is
// used again.
func (l *local) Send(b wire.Batch) error {
	l.parts = append(l.parts[:0], b...)
	whole := l.parts
	_, err := l.parts.WriteTo(l.conn)
	l.parts = whole[:0]
	return err
}

func (l *local) Recv() (*wire.Packet, error) { return l.in.Next() }

func (l *local) Ahead() bool { return l.in.Ahead() }

func (l *local) CloseSend() error { return l.conn.CloseWrite() }

func (l *local) Abort() { _ = l.conn.Close() } // only the first one closes
