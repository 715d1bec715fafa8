package process

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxHandshake = 4 << 10 // a line with a certificate of RSA 4096 has about 2 KiB
	maxQuoted    = 200     // how much of a bad line an error shows
	maxSunPath   = 107     // bytes in the address of a unix socket, on Linux: 108 with the NUL
)

// HandshakeError is a first line on standard output that is not a handshake line
// of go-plugin, or is one that would make go-plugin misbehave.
type HandshakeError struct {
	Reason string
	// Got is the start of the line, quoted as in Go source.
	Got string
}

// Error says what came, what was expected and what to do.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("the first line on stdout is not a go-plugin handshake: %s; "+
		"expected 1|VERSION|unix or tcp|ADDRESS|grpc, got %s; "+
		"is this program a plugin, and does it print nothing on stdout before it serves?", e.Reason, e.Got)
}

// harmless is a line for go-plugin. Without a separator it is refused as a
// whole, before any field of it is looked at.
func (e *HandshakeError) harmless() string {
	return strings.ReplaceAll(e.Got, "|", `\x7c`)
}

// checkHandshake judges the first line. certAsked is whether the child was sent
// a certificate and so may answer with one. Which versions and protocols fit is
// go-plugin's to say, and it says it well. What it is shown is harmless in any case: it has only
// characters that can be printed, a bounded length, and an address on this machine.
func checkHandshake(text []byte, continued, certAsked bool) *HandshakeError {
	reason := handshakeFault(text, continued, certAsked)
	if reason == "" {
		return nil
	}
	got := strconv.QuoteToASCII(string(text[:min(len(text), maxQuoted)]))
	if len(got) > maxQuoted {
		got = got[:maxQuoted] + `…"`
	}
	return &HandshakeError{Reason: reason, Got: got}
}

// handshakeFault returns what is wrong with the line, or "".
func handshakeFault(text []byte, continued, certAsked bool) string {
	if continued {
		return fmt.Sprintf("longer than %d bytes", maxHandshake)
	}
	text = bytes.TrimSpace(text)
	if !utf8.Valid(text) || bytes.ContainsFunc(text, unprintable) {
		return "it has bytes that are not printable text"
	}
	fields := strings.Split(string(text), "|")
	if len(fields) < 4 {
		return fmt.Sprintf("it has %d of at least 4 fields", len(fields))
	}
	for _, number := range fields[:2] {
		if _, err := strconv.ParseUint(number, 10, 31); err != nil {
			return fmt.Sprintf("version %q is not a number", number)
		}
	}
	if fault := addressFault(fields[2], fields[3]); fault != "" {
		return fault
	}
	// Without TLS go-plugin dereferences nil at a certificate; with a TLS
	// configuration of the host's own it would trust it from then on.
	if len(fields) > 5 && fields[5] != "" && !certAsked {
		return "it brings a certificate that was not asked for"
	}
	return ""
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// addressFault says what is wrong with an address, or "". A child is on this
// machine: a name or a far address would make the host call out.
func addressFault(network, address string) string {
	switch network {
	case "unix":
		if address == "" || len(address) > maxSunPath {
			return fmt.Sprintf("a unix socket needs a path of 1 to %d bytes", maxSunPath)
		}
		return ""
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return fmt.Sprintf("%q is not of the form host:port", address)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Sprintf("%q is not an address of this machine", address)
		}
		return ""
	}
	return fmt.Sprintf("network %q is neither unix nor tcp", network)
}
