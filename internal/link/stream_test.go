package link_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// secured returns the two ends of a connection with TLS over the loopback.
func secured(t testing.TB) (host, child *tls.Conn) {
	t.Helper()
	server, client := certified(t)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }() // both ends are there
	dialling := task.Start(func() {
		child, err = tls.Dial("tcp", ln.Addr().String(), client)
	})
	raw, failed := ln.Accept()
	if failed != nil {
		t.Fatal(failed)
	}
	host = tls.Server(raw, server)
	failed = host.HandshakeContext(t.Context())
	dialling.Wait()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return host, child
}

// streamed returns both ends of a link over TLS, and the host's end of the connection below.
func streamed(t testing.TB) (host, child end, conn *tls.Conn) {
	t.Helper()
	x, y := secured(t)
	host, child = newEnd(link.NewStream(x), "host", 0), newEnd(link.NewStream(y), "b", 0)
	<-host.Greeted()
	<-child.Greeted()
	return host, child, x
}

func TestStreamCarriesALink(t *testing.T) {
	host, child, _ := streamed(t)
	exchange(t, host, child)
	host, child, _ = streamed(t)
	exchange(t, child, host)
}

// What the other end has still to say comes after this one has closed its direction.
func TestStreamIsClosedInOneDirection(t *testing.T) {
	x, y := secured(t)
	near, far := link.NewStream(x), link.NewStream(y)
	defer near.Abort()
	defer far.Abort()
	if err := near.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if p, err := far.Recv(); err == nil {
		t.Errorf("%v came although the other end is closed", p)
	}
	packet := batch(t, message(1, bytes.Repeat([]byte("x"), 100_000)))
	sending := task.Start(func() {
		if err := errors.Join(far.Send(packet), far.CloseSend()); err != nil {
			t.Error(err)
		}
	})
	if p, err := near.Recv(); err != nil || len(p.Frames) != 1 || len(p.Frames[0].Payload) != 100_000 {
		t.Errorf("%v", err)
	}
	sending.Wait()
}

func TestF01_ABrokenStreamIsALoss(t *testing.T) {
	for name, cut := range map[string]func(conn *tls.Conn, host end){
		"below TLS":   func(conn *tls.Conn, _ end) { _ = conn.NetConn().Close() },
		"by the link": func(_ *tls.Conn, host end) { host.Abort(errBoom) },
		"in TLS's order, without the link's": func(conn *tls.Conn, _ end) {
			if err := conn.CloseWrite(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			host, child, conn := streamed(t)
			cut(conn, host)
			<-host.Done()
			<-child.Done()
			for _, e := range []end{host, child} {
				if ok, _ := e.Farewell(); ok || e.Err() == nil {
					t.Errorf("the link of %v ended in order", e.Self())
				}
			}
		})
	}
}

// A peer that does not read blocks nobody here, and neither does the end of the link with it.
func TestStreamToAPeerThatDoesNotRead(t *testing.T) {
	x, y := secured(t)
	host := newEnd(link.NewStream(x), "host", 0)
	for i := range 64 {
		if !host.Send(link.Data, message(uint64(i+1), make([]byte, 1<<20))) {
			t.Fatal("the link is closed")
		}
	}
	host.Abort(errBoom)
	<-host.Done()
	_ = y.NetConn().Close()
}

// A connection that cannot be closed in one direction ends the link, and does not leave it open.
func TestStreamNeedsItsDirections(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	tr := link.NewStream(near)
	defer tr.Abort()
	if err := tr.CloseSend(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
