package fabric

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long bytes may stay unacknowledged. Without it a sender to a link that was cut
// finds out after a quarter of an hour, because keepalive counts only while nothing is sent.
func setUserTimeout(conn net.Conn, limit time.Duration) error {
	raw, err := conn.(syscall.Conn).SyscallConn() //nolint:forcetypeassert // it is of TCP
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	}); err != nil {
		return err
	}
	return failed
}
