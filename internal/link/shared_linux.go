package link

import (
	"net"

	"github.com/seed-2ba35074/trellis/internal/shm"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// shared is a Transport through memory that both processes have mapped, and a socket beside it for what
// no data may hold up. The packets come from its Read. What reads belongs to the link's reader, or to the leader.
type shared struct {
	conn *shm.Conn
	in   *wire.PacketReader
	led  bool // by the leader, who must not wait in the middle of a frame
}

// Read implements io.Reader.
func (s *shared) Read(b []byte) (int, error) {
	if s.led {
		return s.conn.ReadNow(b)
	}
	return s.conn.Read(b)
}

func (s *shared) Idle(soon bool) {
	if s.in.Empty() {
		s.conn.Idle(soon)
	}
}

func (s *shared) Lead() bool {
	if !s.conn.Lead() {
		return false
	}
	s.led = true
	return true
}

func (s *shared) RecvNow(stop func() bool) (*wire.Packet, error) {
	if s.in.Empty() && !s.conn.Watch(stop) {
		return nil, nil
	}
	return s.in.NextNow()
}

func (s *shared) Depart(rest bool) {
	s.led = false
	s.conn.Depart(rest || !s.in.Empty())
}

// OfferMemory gives the host's end of a connection.
func OfferMemory(sock *net.UnixConn) (Transport, error) { return newShared(sock, shm.Offer) }

// TakeMemory gives the child's end.
func TakeMemory(sock *net.UnixConn) (Transport, error) { return newShared(sock, shm.Take) }

func newShared(sock *net.UnixConn, agree func(*net.UnixConn) (*shm.Conn, error)) (Transport, error) {
	conn, err := agree(sock)
	switch {
	case err != nil:
		return nil, err
	case conn == nil: // one of the two cannot or will not
		return NewLocal(sock), nil
	}
	s := &shared{conn: conn}
	s.in = wire.NewPacketReader(s)
	return s, nil
}

func (s *shared) Send(b wire.Batch) error           { return s.conn.Write(b) }
func (s *shared) SendNow(b wire.Batch) (int, error) { return s.conn.WriteNow(b) }
func (s *shared) SendAside(b wire.Batch) error      { return s.conn.WriteAside(b) }
func (s *shared) Recv() (*wire.Packet, error)       { return s.in.Next() }
func (s *shared) Ahead() bool                       { return s.in.Ahead() }
func (s *shared) CloseSend() error                  { return s.conn.CloseWrite() }
func (s *shared) Abort()                            { _ = s.conn.Close() } // only the first one closes
