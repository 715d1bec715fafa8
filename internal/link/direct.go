package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"
)

// goAhead is the byte that the server of a direct connection sends as TLS's only data. In TLS 1.3
// a client has finished before the server has seen its certificate; the byte says that it was
// accepted. Nothing is sent without TLS before it, so that TLS cannot take it for its own.
const goAhead = 1

// DialDirect connects to a listener whose server has a Server's Credentials: the child's
// end. pid is the process that listens there, as this one knows it. It fails where the kernel
// does not name that process, or the host finds another one than its child: the link goes
// over gRPC then, as it does if this process is to use nothing else.
func DialDirect(ctx context.Context, network, address string, config *tls.Config, pid int) (_ Transport, err error) {
	protocols, err := Choice()
	if err != nil || len(protocols) == 0 {
		return nil, cmp.Or(err, errNotDirect)
	}
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
	local := localPeer(raw, pid)
	if local == nil {
		return nil, fmt.Errorf("the process at the other end is not known to be %d", pid)
	}
	config = config.Clone()
	config.NextProtos = protocols
	conn := tls.Client(&recordConn{Conn: raw}, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if conn.ConnectionState().NegotiatedProtocol == "" {
		return nil, errNotDirect
	}
	return settle(ctx, conn, local)
}

var errNotDirect = errors.New("there are to be no direct connections")

// settle waits until the server has found this end to be the right one too, and takes the memory that
// it may offer. When ctx ends, a deadline in the past makes reading return; if that has begun, ctx
// is what is reported.
func settle(ctx context.Context, conn *tls.Conn, local *net.UnixConn) (t Transport, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // long ago: reading ends
	var answer [1]byte
	switch _, err = conn.Read(answer[:]); {
	case err != nil:
		err = fmt.Errorf("the peer did not go on: %w", err)
	case answer[0] != goAhead:
		err = fmt.Errorf("the peer answered with the byte %d, expected %d", answer[0], goAhead)
	case conn.ConnectionState().NegotiatedProtocol == SharedProtocol:
		t, err = TakeMemory(local)
	default:
		t = NewLocal(local)
	}
	if !stop() {
		if t != nil {
			t.Abort()
		}
		return nil, context.Cause(ctx)
	}
	return t, err
}

// localPeer returns the connection if the process with this pid has opened its other end. A
// wrapper, another pid namespace or another kind of socket gives nil: the link then uses gRPC.
func localPeer(conn net.Conn, pid int) *net.UnixConn {
	local, ok := conn.(*net.UnixConn)
	if !ok || pid <= 0 {
		return nil
	}
	if peer, _, err := Peer(local); err != nil || peer != pid {
		return nil
	}
	return local
}

// Credentials make a gRPC server take direct connections on its listener as well, from the
// process with this pid, if it wants them with TLS. They carry s's link then.
func (s *Server) Credentials(config *tls.Config, pid int) credentials.TransportCredentials {
	direct := config.Clone()
	direct.NextProtos, _ = Choice() // whoever has started this has asked before
	return &either{credentials.NewTLS(config), credentials.NewTLS(direct), pid, s}
}

// either takes from gRPC the connections that are to be direct. gRPC's server calls
// ServerHandshake in a goroutine for each connection; nothing here changes after Credentials
// has made it. ErrConnDispatched is gRPC's own way to give a connection away.
type either struct {
	credentials.TransportCredentials
	direct credentials.TransportCredentials // for the process that is to connect, which may use gRPC too
	pid    int
	server *Server
}

func (e *either) Clone() credentials.TransportCredentials {
	return &either{e.TransportCredentials.Clone(), e.direct.Clone(), e.pid, e.server}
}

// ServerHandshake offers direct connections to the right process only, which still chooses by
// ALPN: it may be a program in another language that wants gRPC. After a choice of gRPC the
// recordConn stays below TLS, but only passes on what it reads.
func (e *either) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	local := localPeer(raw, e.pid)
	if local == nil {
		return e.TransportCredentials.ServerHandshake(raw)
	}
	below := &recordConn{Conn: raw}
	conn, info, err := e.direct.ServerHandshake(below)
	if err != nil {
		return nil, nil, err
	}
	below.done = true
	secured, ok := conn.(*tls.Conn)
	if !ok || !slices.Contains([]string{LocalProtocol, SharedProtocol}, secured.ConnectionState().NegotiatedProtocol) {
		return conn, info, nil
	}
	if _, err := secured.Write([]byte{goAhead}); err != nil {
		return nil, nil, err
	}
	t := NewLocal(local)
	if secured.ConnectionState().NegotiatedProtocol == SharedProtocol {
		if t, err = OfferMemory(local); err != nil {
			return nil, nil, err
		}
	}
	if err := raw.SetDeadline(time.Time{}); err != nil { // gRPC's, for the handshake
		return nil, nil, err
	}
	e.server.take(t)
	return nil, nil, credentials.ErrConnDispatched
}
