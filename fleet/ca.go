package fleet

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// The files of a CA and of a host, in a directory for each. The CA's certificate has the same name in
// both; a host's may hold several, one of which must have issued each certificate that it meets.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca.key"
	certFile  = "host.pem"
	keyFile   = "host.key"
)

const (
	// DefaultLifetime is how long a host's certificate is valid unless [CA.Issue] is told otherwise.
	DefaultLifetime = 90 * 24 * time.Hour
	caLifetime      = 10 * 365 * 24 * time.Hour
	clockSkew       = 5 * time.Minute // by which a certificate is valid earlier, for clocks that are behind
)

// CA issues the certificates of a fleet's hosts. It does not change, and may be used from any goroutine.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes the CA of a new fleet, valid for ten years, in a directory, which is made if it is not there:
// ca.pem, which every host has too, and ca.key, by which anybody can become a host of the fleet. A
// directory that has a CA already is an error, which matches [fs.ErrExist].
func NewCA(dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{caFile, caKeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("make a CA: %s: %w; hosts whose certificates it has issued would be lost", filepath.Join(dir, name), fs.ErrExist)
		}
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "CA of a Trellis fleet"}, KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	if err := sign(template, caLifetime, nil, dir, caFile, caKeyFile); err != nil {
		return nil, err
	}
	return OpenCA(dir)
}

// OpenCA reads a CA that [NewCA] has made. Its key must be this user's alone.
func OpenCA(dir string) (*CA, error) {
	pair, err := readPair(filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s: this is not the certificate of a CA", filepath.Join(dir, caFile))
	}
	return &CA{dir, pair.Leaf, key}, nil
}

// Issue makes a key and a certificate for a host, valid from now for lifetime, and writes them into a
// directory, with the CA's own certificate: what [LoadCredentials] reads. The directory is made if it is
// not there; what is there is replaced, each file at once.
func (ca *CA) Issue(host, dir string, lifetime time.Duration) error {
	if err := CheckName(host); err != nil {
		return err
	}
	if now := time.Now(); now.After(ca.cert.NotAfter) {
		return fmt.Errorf("%s expired at %v; a new CA takes host ca init, and both in the ca.pem of each host meanwhile", filepath.Join(ca.dir, caFile), ca.cert.NotAfter)
	}
	if lifetime <= 0 {
		return fmt.Errorf("a lifetime of %v: expected more than 0", lifetime)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if same(dir, ca.dir) {
		return fmt.Errorf("%s has the CA, whose key no host is to have: choose another directory", dir)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, URIs: []*url.URL{hostURI(host)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, DNSNames: []string{ServerName},
	}
	if err := sign(template, lifetime, ca, dir, certFile, keyFile); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, caFile), 0o644, "CERTIFICATE", ca.cert.Raw)
}

// same reports whether two directories that exist are one.
func same(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return cmp.Or(err, err2) == nil && os.SameFile(x, y)
}

// sign makes a key and its certificate, signed by a CA or, without one, by itself, and writes both. The
// key comes first: whoever looks in between finds one that does not match, and keeps what it has.
func sign(template *x509.Certificate, lifetime time.Duration, ca *CA, dir, cert, key string) error {
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template.NotBefore, template.NotAfter = now.Add(-clockSkew), now.Add(lifetime)
	parent, signer := template, crypto.Signer(made)
	if ca != nil {
		parent, signer = ca.cert, ca.key
		if template.NotAfter.After(parent.NotAfter) {
			template.NotAfter = parent.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, made.Public(), signer)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, key), 0o600, "PRIVATE KEY", secret); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, cert), 0o644, "CERTIFICATE", der)
}

// writeFile puts a PEM block into the place of a file, at once.
func writeFile(path string, mode fs.FileMode, kind string, der []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // err says what is wrong
		}
	}()
	err = cmp.Or(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Chmod(mode), f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// readPair reads a certificate and its key, which nobody else may read.
func readPair(cert, key string) (*tls.Certificate, error) {
	if err := checkSecret(key); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", cert, key, err)
	}
	return &pair, nil
}

// checkSecret is what is wrong with a key's file: others can read it, or it is somebody else's.
func checkSecret(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case !private(info):
		return fmt.Errorf("%s: expected a file of this user's with the mode 0600, got %v: others can read or have written this key", path, info.Mode())
	}
	return nil
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9.-]{1,63}$`)
	errName  = errors.New("expected 1 to 63 of a-z, 0-9, . and -")
)

// CheckName is what is wrong with the name of a host, which must be 1 to 63 of a-z, 0-9, - and a dot.
func CheckName(host string) error {
	if !nameForm.MatchString(host) {
		return fmt.Errorf("the name of a host: %w, got %q", errName, host)
	}
	return nil
}

// hostURI is a host's name in its certificate.
func hostURI(host string) *url.URL {
	return &url.URL{Scheme: "trellis", Host: "host", Path: "/" + host}
}
