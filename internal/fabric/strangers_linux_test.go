package fabric_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/fabric"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// protocol is what hosts agree on with TLS, as it stands on the wire.
const protocol = "trellis.v1.fabric"

// certificate is that of a host, which has not expired or has.
func certificate(t *testing.T, ca *fleet.CA, expired bool) tls.Certificate {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "h")
	lifetime := fleet.DefaultLifetime
	if expired {
		lifetime = 1
	}
	if err := ca.Issue("b", dir, lifetime); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// strangers are those that connect and are not to be let in, and what each of them does.
func strangers(t *testing.T, ca *fleet.CA) map[string]func(conn net.Conn) io.ReadWriter {
	t.Helper()
	over := func(change func(c *tls.Config), say []byte) func(net.Conn) io.ReadWriter {
		c := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, Certificates: []tls.Certificate{certificate(t, ca, false)}}
		change(c)
		return func(conn net.Conn) io.ReadWriter {
			secured := tls.Client(conn, c)
			_, _ = secured.Write(say) // it may be refused before
			return secured
		}
	}
	plain := func(say []byte) func(net.Conn) io.ReadWriter {
		return func(conn net.Conn) io.ReadWriter {
			_, _ = conn.Write(say) // as above
			return conn
		}
	}
	return map[string]func(net.Conn) io.ReadWriter{
		"without a certificate":   over(func(c *tls.Config) { c.Certificates = nil }, []byte{1}),
		"of another fleet":        over(func(c *tls.Config) { c.Certificates[0] = certificate(t, newCA(t), false) }, []byte{1}),
		"expired":                 over(func(c *tls.Config) { c.Certificates[0] = certificate(t, ca, true) }, []byte{1}),
		"with TLS 1.2":            over(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, []byte{1}),
		"with another protocol":   over(func(c *tls.Config) { c.NextProtos = []string{"h2"} }, []byte{1}),
		"without a protocol":      over(func(c *tls.Config) { c.NextProtos = nil }, []byte{1}),
		"in plain text":           plain([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
		"with a large record":     plain(append([]byte{22, 3, 1, 255, 255}, make([]byte, 1<<16)...)),
		"with a large message":    plain(append([]byte{22, 3, 1, 64, 0, 1, 255, 255, 255}, make([]byte, 1<<14-4)...)),
		"with nothing but zeroes": plain(make([]byte, 1<<20)),
	}
}

// Whoever is not a host of the fleet gets nothing but TLS's alert, and costs nothing that stays.
func TestStrangersGetNothing(t *testing.T) {
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	l := listen(t, a)
	for name, come := range strangers(t, ca) {
		t.Run(name, func(t *testing.T) {
			before := descriptors(t)
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			most := int64(16) // TLS's alert
			var got int64
			coming := task.Start(func() {
				with := come(conn)
				if _, secured := with.(*tls.Conn); secured {
					most = 0
				}
				got, _ = io.Copy(io.Discard, with) // it ends with the connection
			})
			var stranger *fabric.Stranger
			if _, err := l.Accept(); !errors.As(err, &stranger) || stranger.From != conn.LocalAddr().String() {
				t.Errorf("%v", err)
			}
			coming.Wait()
			_ = conn.Close()
			if got > most {
				t.Errorf("it has got %d bytes", got)
			}
			if after := descriptors(t); after > before {
				t.Errorf("there were %d descriptors, and are %d", before, after)
			}
		})
	}
	joins(t, ca, l)
}

// joins has one host more join.
func joins(t *testing.T, ca *fleet.CA, l *fabric.Listener) {
	t.Helper()
	c, _ := issue(t, ca, "c")
	dialling := task.Start(func() {
		conn, err := fabric.Dial(t.Context(), c, l.Addr().String(), "a")
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	})
	for {
		conn, err := l.Accept()
		if errors.As(err, new(*fabric.Stranger)) {
			continue // one that came before
		}
		if err != nil || conn.Host() != "c" {
			t.Errorf("%v, %v", conn, err)
			break
		}
		_ = conn.Close()
		break
	}
	dialling.Wait()
}

// Strangers that say nothing have a bounded number of places, from which they are displaced, and keep nobody out.
func TestSilentStrangersMakeWay(t *testing.T) {
	const most, come = 64, 300
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	l := listen(t, a)
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	var silent []net.Conn
	for range come {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, conn)
	}
	for _, conn := range silent[:come-most] {
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("it has got %d bytes", n)
		}
	}
	if now := descriptors(t); now > before+come+most {
		t.Errorf("%d descriptors for those that say nothing, want %d at most", now-before-come, most)
	}
	joins(t, ca, l)
	for _, conn := range silent {
		_ = conn.Close()
	}
	l.Close()
	for late := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines; runtime.Gosched() { // one that has ended may still be there for a moment
		if time.Now().After(late) {
			t.Fatalf("there were %d goroutines, and are %d", goroutines, runtime.NumGoroutine())
		}
	}
}

// A machine that floods this one displaces its own connections, and not one of another machine, however slow that is.
func TestFloodsDisplaceThemselves(t *testing.T) {
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	b, _ := issue(t, ca, "b")
	l := listen(t, a)
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	slow, err := elsewhere.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	for range 300 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	config, err := b.TLS("a")
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{protocol}
	saying := task.Start(func() {
		if err := tls.Client(slow, config).HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
	conn, err := l.Accept()
	for errors.As(err, new(*fabric.Stranger)) { // one that was displaced
		conn, err = l.Accept()
	}
	if err != nil || conn.Host() != "b" {
		t.Errorf("%v, %v", conn, err)
	} else {
		_ = conn.Close()
	}
	saying.Wait()
}

// Whoever connects and says nothing, or not enough, is cut off by itself, and so is a host that nobody accepts.
func TestSilentStrangersAreCutOff(t *testing.T) {
	ca := newCA(t)
	a, _ := issue(t, ca, "a")
	b, _ := issue(t, ca, "b")
	for patience := 200 * time.Millisecond; ; patience *= 2 { // until a host comes in time
		l, err := fabric.ListenFor(t.Context(), "127.0.0.1:0", a, patience)
		if err != nil {
			t.Fatal(err)
		}
		silent := saying(t, l, "", "\x16", "\x16\x03\x01\x00\x80\x01")
		host, err := fabric.Dial(t.Context(), b, l.Addr().String(), "a")
		if err == nil {
			silent = append(silent, host)
		} else if patience > time.Minute {
			t.Fatal(err)
		}
		for i, conn := range silent {
			if n, _ := io.Copy(io.Discard, conn); n > 0 {
				t.Errorf("number %d has got %d bytes", i, n)
			}
			_ = conn.Close()
		}
		l.Close()
		if err == nil {
			return
		}
	}
}

// saying are connections with a listener, over which this was said.
func saying(t *testing.T, l *fabric.Listener, texts ...string) (all []net.Conn) {
	t.Helper()
	for _, text := range texts {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
		_, _ = io.WriteString(conn, text) // it may be cut off by now
	}
	return all
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
