package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/seed-2ba35074/trellis/shared/wire"
)

// DirectProtocol is what the two ends of a direct connection agree on with TLS (ALPN).
const DirectProtocol = "trellis.v1"

// direct is a Transport without gRPC: one endless packet in each direction, over TLS.
type direct struct {
	conn  *tls.Conn
	below *quietConn
	out   *wire.PacketWriter
	in    *wire.PacketReader
}

func newDirect(conn *tls.Conn, below *quietConn) *direct {
	below.hold(true)
	return &direct{conn: conn, below: below, out: wire.NewPacketWriter(conn), in: wire.NewPacketReader(conn)}
}

// DialDirect connects to a listener whose server has a Server's Credentials: the child's
// end.
func DialDirect(ctx context.Context, network, address string, config *tls.Config) (Transport, error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	below := &quietConn{Conn: raw}
	conn := tls.Client(below, offering(config))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if conn.ConnectionState().NegotiatedProtocol != DirectProtocol {
		return nil, errors.Join(errors.New("the peer takes no direct connections"), raw.Close())
	}
	return newDirect(conn, below), nil
}

// offering is config for a connection that may be direct.
func offering(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{DirectProtocol}
	return config
}

// Credentials make a gRPC server take direct connections on its listener as well: those
// whose client wants them with TLS. They carry s's link then.
func (s *Server) Credentials(config *tls.Config) credentials.TransportCredentials {
	return &either{credentials.NewTLS(offering(config)), s}
}

// either takes from gRPC the connections that are to be direct.
type either struct {
	credentials.TransportCredentials
	server *Server
}

func (e *either) Clone() credentials.TransportCredentials {
	return &either{e.TransportCredentials.Clone(), e.server}
}

func (e *either) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &quietConn{Conn: raw}
	conn, info, err := e.TransportCredentials.ServerHandshake(below)
	if err != nil {
		return nil, nil, err
	}
	secured, ok := conn.(*tls.Conn)
	if !ok || secured.ConnectionState().NegotiatedProtocol != DirectProtocol {
		return conn, info, nil
	}
	if err := raw.SetDeadline(time.Time{}); err != nil { // gRPC's, for the handshake
		return nil, nil, err
	}
	e.server.take(newDirect(secured, below))
	return nil, nil, credentials.ErrConnDispatched
}

// Send writes a packet. It waits while the peer does not read.
func (d *direct) Send(p *wire.Packet) error {
	if err := d.out.Write(p); err != nil {
		return err
	}
	return d.below.push()
}

func (d *direct) Recv() (*wire.Packet, error) { return d.in.Next() }

func (d *direct) CloseSend() error {
	d.below.hold(false)
	return d.conn.CloseWrite()
}

func (d *direct) Abort() { _ = d.below.Close() } // only the first one closes
