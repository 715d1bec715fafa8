// Package loopback knows what this machine is called by itself. A server that only it can reach answers to these names
// and to no other: a page of a browser can have any name point here.
package loopback

import (
	"net"
	"strings"
)

// Name is that of a host that is asked, or listens: HOST, HOST:PORT or [HOST]:PORT, without the rest.
func Name(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.Trim(host, "[]")
}

// Is reports whether a name or an address is this machine's own, for itself.
func Is(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
