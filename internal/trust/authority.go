package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// serverName is what all certificates are for, apart from the identity. Sockets do not
// have a host name that could be checked.
const serverName = "trellis"

// Each certificate is for one process, and its key is gone with that process. So it does
// not need to expire: a tree may run for years, and restart an actor then. These are the
// bounds that RFC 5280 gives for "always".
var (
	notBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// Authority makes the certificates of one host and its children. The host owns it for as
// long as it runs; it does not change after [NewAuthority], so that its methods may be
// called from any goroutine.
//
// A plugin that hosts plugins has an authority of its own for these. There is no chain from the
// root of a tree to its leaves: every process speaks with its parent and its children only.
type Authority struct {
	key  *ecdsa.PrivateKey // signs; never leaves this process
	cert *x509.Certificate // signed by itself
	own  credentials       // the host's own identity, which it shows to every child

	roots *x509.CertPool // cert alone, for the connections to all children
}

// NewAuthority makes the authority of the host with the given identity. Its certificate may sign
// those of processes, and none that could sign others (MaxPathLenZero): a child that got hold of
// another child's key still could not admit anybody.
func NewAuthority(host string) (*Authority, error) {
	a := &Authority{}
	der, key, err := a.certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "trellis authority"}, KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	})
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.key = key
	a.roots = x509.NewCertPool()
	a.roots.AddCert(a.cert)
	a.own, err = a.issue(host)
	return a, err
}

// Host is the configuration for the host's end of connections to a child, as client and as
// server, since go-plugin's broker lets either side listen. It is made anew for each child, as
// it names the one peer that it accepts.
func (a *Authority) Host(child string) *tls.Config { return a.own.config(child, a.roots) }

// Admit makes the identity of a new child, as the bytes that Inherited reads.
func (a *Authority) Admit(child string) ([]byte, error) {
	c, err := a.issue(child)
	if err != nil {
		return nil, err
	}
	return c.encode(a.own.identity)
}

// issue makes a key and a certificate for one process. The identity is in the URI, which
// [check] compares; the DNS name is the same for all and only satisfies package crypto/tls, which
// insists on one. Both uses are allowed, because each process is client and server.
func (a *Authority) issue(identity string) (credentials, error) {
	der, key, err := a.certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: identity}, URIs: []*url.URL{uri(identity)}, DNSNames: []string{serverName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return credentials{}, err
	}
	return credentials{identity: identity, authority: a.cert.Raw, cert: der, key: key}, nil
}

// certify makes a key, and the certificate of it that a template says; it is signed by the
// authority, or, as long as that has none, by itself. The key is on P-256: go-plugin's own
// P-521 takes twenty times as long. Package x509 gives a random serial number; nobody keeps
// count of them.
func (a *Authority) certify(template *x509.Certificate) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = notBefore, notAfter
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	return der, key, err
}

// uri is an identity as it stands in a certificate.
func uri(identity string) *url.URL { return &url.URL{Scheme: "trellis", Opaque: identity} }

// config accepts only the one peer with the given identity. It serves clients and servers
// alike: a client verifies by RootCAs and ServerName, a server by ClientCAs, and both call
// VerifyConnection once the chain is good. The signature alone is not enough, as the authority
// has signed for all siblings too.
func (c credentials) config(peer string, roots *x509.CertPool) *tls.Config {
	want := uri(peer).String()
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{c.cert}, PrivateKey: c.key}},
		MinVersion:   tls.VersionTLS13,
		// No hybrid with ML-KEM: nobody records what goes over a socket of this machine in
		// order to decrypt it later. P-256 is linked in for the certificates anyway. Each
		// connection is a full handshake, because nobody would use its ticket.
		CurvePreferences:       []tls.CurveID{tls.CurveP256},
		SessionTicketsDisabled: true,
		ServerName:             serverName,
		RootCAs:                roots,
		ClientCAs:              roots,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			return check(state.PeerCertificates, want)
		},
	}
}

// check compares the identity of a peer, whose chain has been verified.
func check(chain []*x509.Certificate, want string) error {
	if len(chain) == 0 {
		return errors.New("the peer has shown no certificate")
	}
	if uris := chain[0].URIs; len(uris) != 1 || uris[0].String() != want {
		return fmt.Errorf("the peer is %v, expected %s", uris, want)
	}
	return nil
}
