//go:build !linux

package fabric

import (
	"net"
	"time"
)

// setUserTimeout does nothing: this system's own bound counts while something is sent.
func setUserTimeout(net.Conn, time.Duration) error { return nil }
