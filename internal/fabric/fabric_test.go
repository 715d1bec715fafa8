package fabric_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCA makes the CA of a fleet.
func newCA(t testing.TB) *fleet.CA {
	t.Helper()
	ca, err := fleet.NewCA(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// issue gives a host of a fleet its credentials, and says where they are.
func issue(t testing.TB, ca *fleet.CA, host string) (credentials *fleet.Credentials, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), host)
	if err := ca.Issue(host, dir, fleet.DefaultLifetime); err != nil {
		t.Fatal(err)
	}
	credentials, err := fleet.LoadCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	return credentials, dir
}

// listen makes a listener of a host, which ends with the test.
func listen(t testing.TB, credentials *fleet.Credentials) *fabric.Listener {
	t.Helper()
	l, err := fabric.Listen(t.Context(), "127.0.0.1:0", credentials)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// echo writes what it reads until the end of the stream, and closes the connection.
func echo(t testing.TB, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(conn, conn)
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Error(err)
	}
}

// said sends a text over a connection, ends its direction and gives what comes back.
func said(t testing.TB, conn *fabric.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		// The other end closes what lies below TLS when it has read all: no farewell of TLS's comes.
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	return string(answer)
}

func TestTwoHostsKnowEachOther(t *testing.T) {
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	b, _ := issue(t, ca, "b.example-1")
	l := listen(t, a)
	served := task.Start(func() {
		conn, err := l.Accept()
		if err != nil || conn.Host() != "b.example-1" {
			t.Errorf("%v, %v", conn, err)
			return
		}
		echo(t, conn)
	})
	conn, err := fabric.Dial(t.Context(), b, l.Addr().String(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if conn.Host() != "a" {
		t.Errorf("b is connected with %q", conn.Host())
	}
	if text := said(t, conn, "hello"); text != "hello" {
		t.Errorf("%q has come back", text)
	}
	served.Wait()
	_ = conn.Close()
}

func TestAnotherHostThanExpectedIsRefused(t *testing.T) {
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	b, _ := issue(t, ca, "b")
	l := listen(t, a)
	if conn, err := fabric.Dial(t.Context(), b, l.Addr().String(), "c"); err == nil {
		_ = conn.Close()
		t.Error("b took a for c")
	}
	var stranger *fabric.Stranger
	if _, err := l.Accept(); !errors.As(err, &stranger) {
		t.Errorf("%v", err)
	}
}

func TestAcceptEndsWithItsListener(t *testing.T) {
	a, _ := issue(t, newCA(t), "a")
	l := listen(t, a)
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// New certificates are used by the next connection; those that are there stay as they are.
func TestCertificatesAreReplacedUnderConnections(t *testing.T) {
	ca := newCA(t)
	a, dirA := issue(t, ca, "a")
	b, dirB := issue(t, ca, "b")
	l := listen(t, a)
	connect := func() (near, far *fabric.Conn) {
		t.Helper()
		dialling := task.Start(func() {
			var err error
			if far, err = fabric.Dial(t.Context(), b, l.Addr().String(), "a"); err != nil {
				t.Error(err)
			}
		})
		near, err := l.Accept()
		dialling.Wait()
		if err != nil {
			t.Fatal(err)
		}
		return near, far
	}
	serials := func(near, far *fabric.Conn) [2]string {
		return [2]string{near.ConnectionState().PeerCertificates[0].SerialNumber.String(), far.ConnectionState().PeerCertificates[0].SerialNumber.String()}
	}
	near, far := connect()
	seen := serials(near, far)
	for _, host := range []struct{ name, dir string }{{"a", dirA}, {"b", dirB}} {
		if err := ca.Issue(host.name, host.dir, fleet.DefaultLifetime); err != nil {
			t.Fatal(err)
		}
		x, y := connect()
		if now := serials(x, y); now == seen {
			t.Errorf("the new certificate of %s is not used", host.name)
		} else {
			seen = now
		}
		_ = x.Close()
		_ = y.Close()
	}
	served := task.Start(func() { echo(t, near) })
	if text := said(t, far, "still here"); text != "still here" {
		t.Errorf("%q has come back", text)
	}
	served.Wait()
	_ = far.Close()
}

// A dial ends with its ctx, whose cause it gives, also while the other end says nothing.
func TestDialEndsWithItsCtx(t *testing.T) {
	b, _ := issue(t, newCA(t), "b")
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	dialling := task.Start(func() {
		if conn, err := fabric.Dial(ctx, b, silent.Addr().String(), ""); !errors.Is(err, why) {
			t.Errorf("%v, %v", conn, err)
		}
	})
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cancel(why)
	dialling.Wait()
	_ = conn.Close()
	if conn, err := fabric.Dial(ctx, b, silent.Addr().String(), ""); !errors.Is(err, why) {
		t.Errorf("%v, %v", conn, err)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string][2]string{
		"tls://10.0.0.1:7077":        {"", "10.0.0.1:7077"},
		"tls://b@10.0.0.1:7077":      {"b", "10.0.0.1:7077"},
		"tls://rack-7.x@[fd00::1]:1": {"rack-7.x", "[fd00::1]:1"},
	} {
		peer, at, err := fabric.ParseAddress(address)
		if peer != want[0] || at != want[1] || err != nil || !fabric.IsAddress(address) {
			t.Errorf("%s: %q, %q, %v", address, peer, at, err)
		}
	}
	for _, address := range []string{"tls://", "tls://10.0.0.1", "tls://B@10.0.0.1:1", "tls://@10.0.0.1:1", "tls://10.0.0.1:"} {
		if peer, at, err := fabric.ParseAddress(address); err == nil {
			t.Errorf("%s: %q, %q", address, peer, at)
		}
	}
}

// What a connection costs its two ends together: the handshakes of TCP and TLS, and the byte behind them.
func BenchmarkConnect(b *testing.B) {
	ca := newCA(b)
	here, _ := issue(b, ca, "a")
	there, _ := issue(b, ca, "b")
	l := listen(b, here)
	accepting := task.Start(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it was closed
			}
			_ = conn.Close()
		}
	})
	for b.Loop() {
		conn, err := fabric.Dial(b.Context(), there, l.Addr().String(), "a")
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
	l.Close()
	accepting.Wait()
}
