package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Credentials are what a host proves with who it is, and by what it knows the others. They are read
// again for each handshake if a file has changed, so that a new certificate needs no restart. Files
// that cannot be used are told once, as a warning of [slog.Default], and what was read before is used
// until it has expired. Credentials may be used from any goroutine, and own none.
type Credentials struct {
	dir  string
	host string
	now  atomic.Pointer[loaded]
}

// loaded is the content of the files at one time. It does not change.
type loaded struct {
	host  string
	pair  *tls.Certificate
	roots *x509.CertPool
	from  version
	tried version // the files that were looked at last, and what was wrong with them if they are not those of from
	fault error
}

// version tells whether files have changed.
type version [3]fs.FileInfo

func (v version) is(other version) bool {
	for i, info := range v {
		if info == nil || other[i] == nil || !os.SameFile(info, other[i]) || !info.ModTime().Equal(other[i].ModTime()) || info.Size() != other[i].Size() || info.Mode() != other[i].Mode() {
			return false
		}
	}
	return true
}

// LoadCredentials reads a host's certificate, its key and the CA's certificate from a directory: host.pem,
// host.key and ca.pem, as [CA.Issue] writes them. ca.pem may hold several CAs, as while a fleet changes
// from one to another. Errors say which file is missing, which others can read, what does not match, and
// what has expired.
func LoadCredentials(dir string) (*Credentials, error) {
	c := &Credentials{dir: dir}
	l, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("the credentials of this host: %w", err)
	}
	c.host = l.host
	c.now.Store(l)
	return c, nil
}

// Host is the name in the certificate. It stays the same: a new certificate for another host is not used.
func (c *Credentials) Host() string { return c.host }

// Expires is when the certificate that is in use does.
func (c *Credentials) Expires() time.Time { return c.current().pair.Leaf.NotAfter }

// TLS is the configuration for one handshake, at either end: TLS 1.3, with this host's certificate, and
// only with a host of the same fleet; with that of a certain name alone unless the name is empty. The
// error says that the certificate has expired.
func (c *Credentials) TLS(peer string) (*tls.Config, error) {
	l := c.current()
	if time.Now().After(l.pair.Leaf.NotAfter) {
		return nil, errors.Join(fmt.Errorf("the certificate of this host, %s, expired at %v; issue another one: host ca issue", c.host, l.pair.Leaf.NotAfter), l.fault)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*l.pair}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		// A certificate is for a host and not for an address, which TLS itself would compare.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection asks for more
		VerifyConnection:   func(s tls.ConnectionState) error { return l.verify(s, peer) },
		// A session that goes on would not ask for the certificate again.
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}, nil
}

// verify is why the other end of a connection is not let in. Its certificate must be issued by a CA
// of the fleet itself, with nothing in between.
func (l *loaded) verify(s tls.ConnectionState, peer string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the other end has no certificate")
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: l.roots, KeyUsages: usage}); err != nil {
		return fmt.Errorf("the other end is not a host of this fleet: %w", err)
	}
	host, err := hostOf(s.PeerCertificates[0])
	if err == nil && peer != "" && host != peer {
		err = fmt.Errorf("the other end is the host %s, expected %s", host, peer)
	}
	return err
}

// PeerHost is the name of the host at the other end of a connection whose handshake is over.
func PeerHost(s tls.ConnectionState) (string, error) {
	if len(s.PeerCertificates) == 0 {
		return "", errors.New("the other end has no certificate")
	}
	return hostOf(s.PeerCertificates[0])
}

// hostOf is the name in a host's certificate.
func hostOf(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) == 1 {
		if host, ok := strings.CutPrefix(cert.URIs[0].String(), hostURI("").String()); ok && CheckName(host) == nil {
			return host, nil
		}
	}
	return "", fmt.Errorf("the certificate of %s is not that of a host: expected one URI like %s, got %v", cert.Subject, hostURI("NAME"), cert.URIs)
}

// current is what the files say now, or else what they said last. If several handshakes look at once,
// each reads for itself, and one of them tells what is wrong.
func (c *Credentials) current() *loaded {
	l := c.now.Load()
	seen, err := c.version()
	if err == nil && seen.is(l.tried) {
		return l
	}
	next, err := c.read()
	if err == nil && !next.from.is(seen) {
		return l // they change at this moment: the next one looks
	}
	if err == nil && next.host != c.host {
		err = fmt.Errorf("%s is not for the host %s any more, but for %s", filepath.Join(c.dir, certFile), c.host, next.host)
	}
	if err != nil {
		next = &loaded{host: l.host, pair: l.pair, roots: l.roots, from: l.from, tried: seen, fault: err}
	}
	if c.now.CompareAndSwap(l, next) && err != nil && (l.fault == nil || l.fault.Error() != err.Error()) {
		slog.LogAttrs(context.Background(), slog.LevelWarn, "new credentials cannot be used; those of before stay in use",
			slog.String("directory", c.dir), slog.Time("until", l.pair.Leaf.NotAfter), slog.Any("error", err))
	}
	return next
}

// version is that of the files now; an error if one of them is not there.
func (c *Credentials) version() (v version, err error) {
	for i, name := range []string{caFile, certFile, keyFile} {
		if v[i], err = os.Stat(filepath.Join(c.dir, name)); err != nil {
			return v, err
		}
	}
	return v, nil
}

// read reads the files, and says what is wrong with them.
func (c *Credentials) read() (*loaded, error) {
	from, err := c.version()
	if err != nil {
		return nil, err
	}
	cert, ca := filepath.Join(c.dir, certFile), filepath.Join(c.dir, caFile)
	pair, err := readPair(cert, filepath.Join(c.dir, keyFile))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(ca) //nolint:gosec // its caller names the folder
	if err != nil {
		return nil, err
	}
	host, err := hostOf(pair.Leaf)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cert, err)
	}
	l := &loaded{host: host, pair: pair, roots: x509.NewCertPool(), from: from, tried: from}
	if !l.roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("%s expired at %v; issue another one: host ca issue", cert, pair.Leaf.NotAfter)
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("%s is valid from %v on: is the clock of this machine right?", cert, pair.Leaf.NotBefore)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: l.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, fmt.Errorf("%s was not issued by the CA of %s: %w", cert, ca, err)
	}
	return l, nil
}
