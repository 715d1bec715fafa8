package link

import (
	"net"

	"github.com/seed-2ba35074/trellis/internal/shm"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// shared is a Transport through memory that both processes have mapped, and a socket beside it for what
// no data may hold up.
type shared struct {
	conn *shm.Conn
	in   *wire.PacketReader
}

func newShared(conn *shm.Conn, sock *net.UnixConn) Transport {
	if conn == nil { // one of the two cannot or will not
		return NewLocal(sock)
	}
	return &shared{conn, wire.NewPacketReader(conn)}
}

// offerMemory gives the host's end of a connection.
func offerMemory(sock *net.UnixConn) (Transport, error) {
	conn, err := shm.Offer(sock)
	if err != nil {
		return nil, err
	}
	return newShared(conn, sock), nil
}

// takeMemory gives the child's end.
func takeMemory(sock *net.UnixConn) (Transport, error) {
	conn, err := shm.Take(sock)
	if err != nil {
		return nil, err
	}
	return newShared(conn, sock), nil
}

func (s *shared) Send(b wire.Batch) error           { return s.conn.Write(b) }
func (s *shared) SendNow(b wire.Batch) (int, error) { return s.conn.WriteNow(b) }
func (s *shared) SendAside(b wire.Batch) error      { return s.conn.WriteAside(b) }
func (s *shared) Recv() (*wire.Packet, error)       { return s.in.Next() }
func (s *shared) Ahead() bool                       { return s.in.Ahead() }
func (s *shared) CloseSend() error                  { return s.conn.CloseWrite() }
func (s *shared) Abort()                            { _ = s.conn.Close() } // only the first one closes
