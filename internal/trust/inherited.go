package trust

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// Variable tells a child at which descriptor its identity can be read. It holds
// the number and nothing secret.
const Variable = environ.Identity

// maxEncoded bounds what a child reads. A pipe holds that much before anybody reads it: 16 KiB on
// macOS, and 64 on Linux. An encoded identity has less than 2 KiB, unless its name is very long.
const maxEncoded = 16 << 10

// credentials are one process's identity and the proof of it. They are a value that nobody
// changes. A host has its own; those of a child it holds only until they are encoded.
type credentials struct {
	identity  string
	authority []byte // certificate, DER
	cert      []byte // of the process, DER
	key       *ecdsa.PrivateKey
}

// encoded is what goes through the pipe, as JSON, which any language can read without this
// package; []byte is base64 there. The protocol's description names these keys.
type encoded struct {
	Identity  string `json:"identity"`
	Parent    string `json:"parent"` // the one peer to accept
	Authority []byte `json:"authority"`
	Cert      []byte `json:"certificate"`
	Key       []byte `json:"key"` // PKCS #8
}

func (c credentials) encode(parent string) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(encoded{Identity: c.identity, Parent: parent, Authority: c.authority, Cert: c.cert, Key: key})
}

// decode reads what encode has written, and gives the configuration for a child's
// end of connections to its parent.
func decode(text []byte) (*tls.Config, error) {
	var e encoded
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(e.Key)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || e.Identity == "" || e.Parent == "" {
		return nil, errors.New("it has no name, no parent or no ECDSA key")
	}
	authority, err := x509.ParseCertificate(e.Authority)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return credentials{cert: e.Cert, key: private}.config(e.Parent, roots), nil
}

// Pipe puts an encoded identity where a child can read it. The caller closes the
// file when the child has been started.
//
// All of it is written, and the write end closed, before there is a child: no goroutine has to
// feed it, and a child that never reads holds up nobody. What it has not read is gone with the
// last read end, so that nothing is left of the key anywhere else.
func Pipe(text []byte) (*os.File, error) {
	if len(text) > maxEncoded {
		return nil, fmt.Errorf("an identity of %d bytes, expected at most %d", len(text), maxEncoded)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text) // fits, and so does not wait for a reader
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Inherited returns the configuration for this process's connections to the host that
// started it. It can be called once. The result is nil if the host gave no identity;
// then go-plugin's own authentication is used.
//
// Descriptors 0 to 2 are refused: a variable that says so was not set by a host, and to read
// one of them could wait for a terminal. What is read is bounded, for the same reason: the
// number may be that of some other file.
func Inherited() (*tls.Config, error) {
	value, ok := os.LookupEnv(Variable)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(Variable) // it is not for this process's children
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q: expected the number of a descriptor; this variable is the host's to set", Variable, value)
	}
	file := os.NewFile(uintptr(fd), "identity")
	text, err := io.ReadAll(io.LimitReader(file, maxEncoded+1))
	err = errors.Join(err, file.Close())
	if err == nil && len(text) > maxEncoded {
		err = fmt.Errorf("more than %d bytes", maxEncoded)
	}
	var config *tls.Config
	if err == nil {
		config, err = decode(text)
	}
	if err != nil {
		return nil, fmt.Errorf("the identity that the host gave this plugin (descriptor %d) cannot be read: %w; "+
			"host and plugin may have been built with different versions", fd, err)
	}
	return config, nil
}

// Check returns what is wrong with an inherited identity: the authority must have signed
// it, and its key must fit. A start does not need it, as a handshake with a bad identity fails in
// any case; it is for the rehearsal of a plugin, where the reason should be said in words.
func Check(config *tls.Config) error {
	own := config.Certificates[0]
	cert, err := x509.ParseCertificate(own.Certificate[0])
	if err == nil {
		_, err = cert.Verify(x509.VerifyOptions{Roots: config.RootCAs, DNSName: serverName})
	}
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	if key, ok := own.PrivateKey.(*ecdsa.PrivateKey); !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return errors.New("its key: it does not match the certificate")
	}
	return nil
}
