package link_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// landing is a host's listener, which takes links as gRPC and directly.
type landing struct {
	t        *testing.T
	path     string
	accepted chan end
	server   *grpc.Server
	serving  *task.Worker
	client   *tls.Config
}

func newLanding(t *testing.T) *landing {
	t.Helper()
	return newLandingFor(t, os.Getpid())
}

// newLandingFor makes a landing where a process is expected.
func newLandingFor(t *testing.T, pid int) *landing {
	t.Helper()
	server, client := certified(t)
	l := listening(t, server, pid)
	l.client = client
	return l
}

// listening makes a landing with the server's end of a trust.
func listening(t *testing.T, server *tls.Config, pid int) *landing {
	t.Helper()
	l := &landing{t: t, path: filepath.Join(t.TempDir(), "s"), accepted: make(chan end, 1)}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", l.path)
	if err != nil {
		t.Fatal(err)
	}
	links := link.NewServer(func(tr link.Transport) <-chan struct{} {
		e := newEnd(tr, "host", 0)
		l.accepted <- e
		return e.Done()
	})
	l.server = grpc.NewServer(grpc.Creds(links.Credentials(server, pid)), grpc.WaitForHandlers(true), grpc.ForceServerCodecV2(wire.PacketCodec{}))
	wire.RegisterLinkServer(l.server, links)
	l.serving = task.Start(func() { _ = l.server.Serve(ln) }) // ends with Stop
	t.Cleanup(func() {
		l.server.Stop()
		l.serving.Wait()
	})
	return l
}

// certified returns the two ends of a connection that trust each other.
func certified(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // which has a certificate for example.com
	s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS13},
		&tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS13}
}

// dial connects directly with a process that should listen, or else as gRPC.
func (l *landing) dial(pid int) (tr link.Transport, direct bool) {
	l.t.Helper()
	tr, err := link.DialDirect(l.t.Context(), "unix", l.path, l.client, pid)
	if err == nil {
		return tr, true
	}
	return l.dialGRPC(), false
}

func (l *landing) dialGRPC() link.Transport {
	l.t.Helper()
	conn, err := grpc.NewClient("unix:"+l.path, grpc.WithTransportCredentials(credentials.NewTLS(l.client)))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	tr, err := link.Dial(l.t.Context(), conn)
	if err != nil {
		l.t.Fatal(err)
	}
	return tr
}

// greeted gives both ends of a link that the child has opened.
func (l *landing) greeted(tr link.Transport) (host, child end) {
	child = newEnd(tr, "b", 0)
	host = <-l.accepted
	<-host.Greeted()
	<-child.Greeted()
	return host, child
}

// exchange sends payloads of all sorts of sizes both ways, and ends the link in order.
func exchange(t *testing.T, a, b end) {
	t.Helper()
	sizes := []int{0, 1, 63, 511, 512, 4 << 10, 16 << 10, 64<<10 - 1, 64 << 10, 128 << 10, 128<<10 + 1, 1 << 20, 3<<20 + 5, 1}
	for i, size := range sizes {
		payload := bytes.Repeat([]byte{byte(i + 1)}, size)
		a.Send(link.Data, message(uint64(i+1), bytes.Clone(payload)))
		b.Send(link.Data, message(uint64(i+1), payload))
		a.Send(link.Control, &wire.Frame{Dialog: uint64(i + 1), Kind: wire.Kind_KIND_CREDIT, Credit: &wire.Window{Messages: 1}})
	}
	a.Close(errBoom)
	<-a.Done()
	<-b.Done()
	for _, e := range []end{a, b} {
		if err := e.Err(); err != nil {
			t.Errorf("%v: %v", e.Self(), err)
		}
		next := 0
		for _, f := range e.in.all() {
			if f.Kind != wire.Kind_KIND_YIELD {
				continue
			}
			if want := bytes.Repeat([]byte{byte(next + 1)}, sizes[next]); !bytes.Equal(f.Payload, want) {
				t.Fatalf("message %d of %d bytes came as %d bytes, or others", next, len(want), len(f.Payload))
			}
			next++
		}
		if next != len(sizes) {
			t.Errorf("%v: %d messages of %d have come", e.Self(), next, len(sizes))
		}
	}
	if ok, reason := b.Farewell(); !ok || reason == nil {
		t.Errorf("the farewell: %t, %v", ok, reason)
	}
}

// A connection is direct if both ends find the very process at the other one that is to be
// there. Else, and where the system does not tell, the same listener carries the link as gRPC.
func TestEveryConnectionCarriesALink(t *testing.T) {
	self, other := os.Getpid(), os.Getppid()
	for name, c := range map[string]struct {
		child, host int // whom the host and the child expect
		direct      bool
	}{
		"between the two":               {self, self, runtime.GOOS == "linux"},
		"another process connects":      {other, self, false},
		"another process listens":       {self, other, false},
		"between two others":            {other, other, false},
		"the host does not say its pid": {self, 0, false},
		"the child's pid is not known":  {0, self, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLandingFor(t, c.child)
			tr, direct := l.dial(c.host)
			if direct != c.direct {
				t.Errorf("the connection is direct: %t", direct)
			}
			host, child := l.greeted(tr)
			exchange(t, host, child)
		})
	}
}

func TestSharedMemoryCarriesALink(t *testing.T) {
	t.Setenv(link.Variable, "shm")
	l := newLanding(t)
	tr, _ := l.dial(os.Getpid())
	host, child := l.greeted(tr)
	exchange(t, host, child)
}

// Each end may use less than the other one would, and so both do. Nobody uses anything
// that neither knows.
func TestTheLesserTransportIsUsed(t *testing.T) {
	for _, c := range []struct {
		host, child    string
		direct, shared bool
	}{
		{"shm", "shm", true, true},
		{"shm", "local", true, false},
		{"local", "shm", true, false},
		{"grpc", "shm", false, false},
		{"shm", "grpc", false, false},
		{"shm", "else", false, false},
	} {
		t.Run(c.host+" and "+c.child, func(t *testing.T) {
			t.Setenv(link.Variable, c.host)
			l := newLanding(t)
			t.Setenv(link.Variable, c.child)
			tr, direct := l.dial(os.Getpid())
			if _, aside := tr.(link.Aside); (direct != c.direct || aside != c.shared) && runtime.GOOS == "linux" {
				t.Errorf("the connection is direct: %t, and a %T", direct, tr)
			}
			host, child := l.greeted(tr)
			host.Close(nil)
			<-host.Done()
			<-child.Done()
			if err := errors.Join(host.Err(), child.Err()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnknownTransportIsRefused(t *testing.T) {
	t.Setenv(link.Variable, "rdma")
	if protocols, err := link.Choice(); err == nil || !strings.Contains(err.Error(), link.Variable+`: expected shm, local or grpc, got "rdma"`) {
		t.Errorf("%v, %v", protocols, err)
	}
}

// A host that refuses the child after its handshake is told from one that goes on.
func TestDirectConnectionOfAStranger(t *testing.T) {
	server, client := certified(t)
	server.ClientAuth = tls.RequireAndVerifyClientCert
	l := listening(t, server, os.Getpid())
	l.client = client
	if tr, err := link.DialDirect(t.Context(), "unix", l.path, client, os.Getpid()); err == nil {
		tr.Abort()
		t.Error("a child without a certificate has a link")
	}
}

// The very same listener takes gRPC, from peers in other languages.
func TestListenerTakesGRPCToo(t *testing.T) {
	l := newLanding(t)
	host, child := l.greeted(l.dialGRPC())
	other, _ := l.dial(os.Getpid())
	second := newEnd(other, "b", 0) // one link is enough
	<-second.Done()
	if second.Err() == nil {
		t.Error("a second link ended in order")
	}
	exchange(t, host, child)
}

func TestDirectConnectionNeedsAPeerThatTakesIt(t *testing.T) {
	server, client := certified(t)
	path := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(server)))
	serving := task.Start(func() { _ = s.Serve(ln) }) // ends with Stop
	if tr, err := link.DialDirect(t.Context(), "unix", path, client, os.Getpid()); err == nil {
		tr.Abort()
		t.Error("a gRPC server took a direct connection")
	}
	s.Stop()
	serving.Wait()
}

// Whoever connects and says nothing costs the others nothing, and ends with its ctx.
func TestDialDirectEndsWithItsCtx(t *testing.T) {
	_, client := certified(t)
	path := filepath.Join(t.TempDir(), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	dialling := task.Start(func() {
		if tr, err := link.DialDirect(ctx, "unix", path, client, os.Getpid()); err == nil {
			tr.Abort()
			t.Error("connected with a silent peer")
		}
	})
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	dialling.Wait()
	_ = conn.Close()
}

// A peer that is stopped, and so does not read, blocks nobody here.
func TestSendDoesNotWaitForAStoppedPeer(t *testing.T) {
	overEach(t, func(t *testing.T) {
		l := newLanding(t)
		tr, _ := l.dial(os.Getpid())
		host := <-l.accepted
		for i := range 64 {
			if !host.Send(link.Data, message(uint64(i+1), make([]byte, 1<<20))) {
				t.Fatal("the link is closed")
			}
		}
		host.Abort(errBoom)
		<-host.Done()
		tr.Abort()
	})
}

// overEach runs a test over each direct transport.
func overEach(t *testing.T, test func(*testing.T)) {
	t.Helper()
	for _, transport := range []string{"shm", "local"} {
		t.Run(transport, func(t *testing.T) {
			t.Setenv(link.Variable, transport)
			test(t)
		})
	}
}

func TestF01_ABrokenDirectConnectionIsALoss(t *testing.T) {
	overEach(t, func(t *testing.T) {
		l := newLanding(t)
		tr, _ := l.dial(os.Getpid())
		host, child := l.greeted(tr)
		tr.Abort()
		<-host.Done()
		<-child.Done()
		for _, e := range []end{host, child} {
			if ok, _ := e.Farewell(); ok || e.Err() == nil {
				t.Errorf("the link of %v ended in order", e.Self())
			}
		}
	})
}
