package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// loadTLS reads a directory of credentials: ca.pem, host.pem and host.key. A server must have a certificate of that
// CA, for the name or address by which it was called, or as a host of the fleet.
func loadTLS(dir, address string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
	if err != nil {
		return nil, fmt.Errorf("the credentials of the registry: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("the credentials of the registry: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the credentials of the registry: %s has no certificate", filepath.Join(dir, "ca.pem"))
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		name = address
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ServerName: name, NextProtos: []string{"h2"},
		// The certificate of a host has its name in the fleet, and no address, which TLS itself would compare.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does it
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(s, roots, name) },
	}, nil
}

func verify(s tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	leaf, between := s.PeerCertificates[0], x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	// The fleet's CA issues certificates for both ends.
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: usage}); err != nil {
		return err
	}
	if len(leaf.URIs) == 1 && leaf.URIs[0].Scheme == "trellis" && leaf.URIs[0].Host == "host" {
		return nil
	}
	return leaf.VerifyHostname(name)
}
