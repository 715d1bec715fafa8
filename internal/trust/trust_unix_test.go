//go:build unix

package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// household is a host with two children.
type household struct {
	authority    *Authority
	host         *tls.Config // for the child
	child, other *tls.Config
}

func newHousehold(t *testing.T, name string) household {
	t.Helper()
	a, err := NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	h := household{authority: a, host: a.Host("child")}
	h.child, h.other = admitted(t, a, "child"), admitted(t, a, "other")
	return h
}

func admitted(t *testing.T, a *Authority, child string) *tls.Config {
	t.Helper()
	text, err := a.Admit(child)
	if err != nil {
		t.Fatal(err)
	}
	config, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// selfSigned has an identity that nobody has confirmed.
func selfSigned(t *testing.T, identity string) *tls.Config {
	t.Helper()
	a, err := NewAuthority(identity)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notBefore, NotAfter: notAfter, DNSNames: []string{serverName}}
	template.URIs = append(template.URIs, uri(identity))
	der, err := x509.CreateCertificate(nil, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}, InsecureSkipVerify: true}
}

// connect gives both ends of a connection over a socket, which holds what one end
// says while the other does not listen.
func connect(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if near, err = net.Dial("unix", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// talk has a client say something to a server and hear it back, and returns what
// each of them met.
func talk(t *testing.T, client, server *tls.Config) (atClient, atServer error) {
	t.Helper()
	near, far := connect(t)
	deadline := time.Now().Add(time.Minute) // of a test that hangs
	if err := errors.Join(near.SetDeadline(deadline), far.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	serving := task.Start(func() {
		defer func() { _ = far.Close() }()
		conn := tls.Server(far, server)
		word := make([]byte, 5)
		if _, atServer = io.ReadFull(conn, word); atServer == nil {
			_, atServer = conn.Write(word)
		}
	})
	conn := tls.Client(near, client)
	word := make([]byte, 5)
	if _, atClient = conn.Write([]byte("hello")); atClient == nil {
		_, atClient = io.ReadFull(conn, word)
	}
	_ = near.Close()
	serving.Wait()
	return atClient, atServer
}

func TestHostAndChildAcceptEachOther(t *testing.T) {
	h := newHousehold(t, "host")
	for name, ends := range map[string][2]*tls.Config{"main connection": {h.host, h.child}, "link": {h.child, h.host}} {
		if atClient, atServer := talk(t, ends[0], ends[1]); atClient != nil || atServer != nil {
			t.Errorf("%s: %v, %v", name, atClient, atServer)
		}
	}
}

func TestStrangersGetNothing(t *testing.T) {
	h, neighbours := newHousehold(t, "host"), newHousehold(t, "host") // the same names, another tree
	anonymous := &tls.Config{InsecureSkipVerify: true}
	strangers := map[string]*tls.Config{
		"no certificate": anonymous, "self-signed as the host": selfSigned(t, "host"), "self-signed as the child": selfSigned(t, "child"),
		"the host of another tree": neighbours.host, "the child of another tree": neighbours.child, "a sibling": h.other,
	}
	for name, stranger := range strangers {
		careless := stranger.Clone()
		careless.InsecureSkipVerify, careless.VerifyConnection = true, nil
		for end, server := range map[string]*tls.Config{"child": h.child, "host": h.host} {
			if _, err := talk(t, careless, server); err == nil {
				t.Errorf("%s was served by the %s", name, end)
			}
		}
		if len(careless.Certificates) == 0 {
			continue
		}
		careless.ClientAuth = tls.NoClientCert
		for end, client := range map[string]*tls.Config{"child": h.child, "host": h.host} {
			if err, _ := talk(t, client, careless); err == nil {
				t.Errorf("the %s trusted %s", end, name)
			}
		}
	}
}

func TestChildIsNotItsOwnHost(t *testing.T) {
	h := newHousehold(t, "host")
	careless := h.child.Clone()
	careless.VerifyConnection = nil
	if _, err := talk(t, careless, h.child); err == nil {
		t.Error("a child was served by itself, as if it were the host")
	}
}

func TestIdentityGoesThroughAPipeOnce(t *testing.T) {
	h := newHousehold(t, "host")
	text, err := h.authority.Admit("third")
	if err != nil {
		t.Fatal(err)
	}
	inherit(t, text)
	config, err := Inherited()
	if err != nil || config == nil {
		t.Fatal(config, err)
	}
	server := h.authority.Host("third")
	if atClient, atServer := talk(t, config, server); atClient != nil || atServer != nil {
		t.Errorf("%v, %v", atClient, atServer)
	}
	if again, err := Inherited(); again != nil || err != nil {
		t.Errorf("a second time: %v, %v", again, err)
	}
}

// inherit makes this process find text as its identity.
func inherit(t *testing.T, text []byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	fd := dup(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv(Variable, strconv.Itoa(fd))
}

func TestBadIdentities(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":      {"", "unexpected end of JSON input"},
		"garbage":    {"PLUGIN", "invalid character"},
		"no key":     {"{}", "asn1"},
		"too much":   {strings.Repeat("x", maxEncoded+1), "more than 16384 bytes"},
		"other type": {`{"key": 5}`, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			inherit(t, []byte(c.text))
			config, err := Inherited()
			if config != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "different versions") {
				t.Errorf("%v, %v", config, err)
			}
		})
	}
	for _, value := range []string{"", "x", "-1", "2"} {
		t.Setenv(Variable, value)
		if _, err := Inherited(); err == nil || !strings.Contains(err.Error(), "expected the number of a descriptor") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestCheckFindsWhatDoesNotBelongTogether(t *testing.T) {
	h, stranger := newHousehold(t, "host"), newHousehold(t, "host")
	if err := Check(h.child); err != nil {
		t.Errorf("a good one: %v", err)
	}
	unsigned := h.child.Clone()
	unsigned.RootCAs = stranger.child.RootCAs
	if err := Check(unsigned); err == nil || !strings.Contains(err.Error(), "its certificate: x509") {
		t.Errorf("another authority's: %v", err)
	}
	keyless := h.child.Clone()
	keyless.Certificates = []tls.Certificate{{Certificate: h.child.Certificates[0].Certificate, PrivateKey: h.other.Certificates[0].PrivateKey}}
	if err := Check(keyless); err == nil || !strings.Contains(err.Error(), "its key: it does not match the certificate") {
		t.Errorf("another's key: %v", err)
	}
}

func TestNoIdentityIsNoError(t *testing.T) {
	if config, err := Inherited(); config != nil || err != nil {
		t.Errorf("%v, %v", config, err)
	}
}

// dup gives a descriptor that no os.File owns.
func dup(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
