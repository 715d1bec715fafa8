package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"
)

// What the two ends of a direct connection, which is one without gRPC, agree on with TLS
// (ALPN). Either TLS goes on and seals what they send, or it has only told them who they
// are: between two processes of one machine that the kernel has told each other's pid.
const (
	SealedProtocol = "trellis.v1"
	LocalProtocol  = "trellis.v1.local"
)

// goAhead is what the server of a local connection sends last with TLS.
const goAhead = 1

// DialDirect connects to a listener whose server has a Server's Credentials: the child's
// end. pid is the process that listens there, as this one knows it.
func DialDirect(ctx context.Context, network, address string, config *tls.Config, pid int) (_ Transport, err error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = raw.Close() // err says what is wrong
		}
	}()
	below := &quietConn{Conn: raw, byRecord: true}
	conn := tls.Client(below, offering(config, localPeer(raw, pid) != nil))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	switch conn.ConnectionState().NegotiatedProtocol {
	case SealedProtocol:
		below.byRecord = false
		return newSealed(conn, below), nil
	case LocalProtocol:
		if err := awaitGoAhead(ctx, conn); err != nil {
			return nil, err
		}
		return newLocal(localPeer(raw, pid)), nil
	}
	return nil, errors.New("the peer takes no direct connections")
}

// awaitGoAhead waits until the server has found this end to be the right one too.
func awaitGoAhead(ctx context.Context, conn *tls.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // long ago: reading ends
	var answer [1]byte
	_, err := conn.Read(answer[:])
	switch {
	case !stop():
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("the peer did not go on: %w", err)
	case answer[0] != goAhead:
		return fmt.Errorf("the peer answered with the byte %d, expected %d", answer[0], goAhead)
	}
	return nil
}

// offering is config for a connection that may be direct.
func offering(config *tls.Config, local bool) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{SealedProtocol}
	if local {
		config.NextProtos = slices.Insert(config.NextProtos, 0, LocalProtocol)
	}
	return config
}

// localPeer gives the connection if the process with this pid has opened its other end.
func localPeer(conn net.Conn, pid int) *net.UnixConn {
	local, ok := conn.(*net.UnixConn)
	if !ok || pid <= 0 || peerPID(local) != pid {
		return nil
	}
	return local
}

// Credentials make a gRPC server take direct connections on its listener as well: those
// whose client wants them with TLS. They carry s's link then. pid is the process that is
// to connect.
func (s *Server) Credentials(config *tls.Config, pid int) credentials.TransportCredentials {
	return &either{credentials.NewTLS(offering(config, false)), credentials.NewTLS(offering(config, true)), pid, s}
}

// either takes from gRPC the connections that are to be direct.
type either struct {
	credentials.TransportCredentials
	local  credentials.TransportCredentials // for the process that is to connect
	pid    int
	server *Server
}

func (e *either) Clone() credentials.TransportCredentials {
	return &either{e.TransportCredentials.Clone(), e.local.Clone(), e.pid, e.server}
}

func (e *either) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	shake, local := e.TransportCredentials, localPeer(raw, e.pid)
	if local != nil {
		shake = e.local
	}
	below := &quietConn{Conn: raw, byRecord: local != nil}
	conn, info, err := shake.ServerHandshake(below)
	if err != nil {
		return nil, nil, err
	}
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return conn, info, nil
	}
	below.byRecord = false
	var direct Transport
	switch secured.ConnectionState().NegotiatedProtocol {
	case SealedProtocol:
		direct = newSealed(secured, below)
	case LocalProtocol:
		if _, err := secured.Write([]byte{goAhead}); err != nil {
			return nil, nil, err
		}
		direct = newLocal(local)
	default:
		return conn, info, nil
	}
	if err := raw.SetDeadline(time.Time{}); err != nil { // gRPC's, for the handshake
		return nil, nil, err
	}
	e.server.take(direct)
	return nil, nil, credentials.ErrConnDispatched
}
