package fabric

import (
	"fmt"
	"net"
	"strings"

	"github.com/seed-2ba35074/trellis/fleet"
)

// scheme begins the address of a host on another machine.
const scheme = "tls://"

// IsAddress reports whether an address is meant to be that of a host on another machine.
func IsAddress(address string) bool { return strings.HasPrefix(address, scheme) }

// ParseAddress takes tls://10.0.0.1:7077 apart, or tls://a@10.0.0.1:7077, where only the host of that name is
// meant: its name in the fleet, or "", and its address of TCP.
func ParseAddress(address string) (peer, at string, err error) {
	at = strings.TrimPrefix(address, scheme)
	if before, after, named := strings.Cut(at, "@"); named {
		if err := fleet.CheckName(before); err != nil {
			return "", "", fmt.Errorf("the address %q: %w", address, err)
		}
		peer, at = before, after
	}
	if _, port, err := net.SplitHostPort(at); err != nil || port == "" {
		return "", "", fmt.Errorf("the address %q: expected tls://HOST:PORT, as in tls://10.0.0.1:7077", address)
	}
	return peer, at, nil
}
