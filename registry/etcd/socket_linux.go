package etcd

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged breaks a connection whose peer's kernel has acknowledged nothing for that long.
func unacknowledged(most time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		failed := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(most/time.Millisecond))
		})
		if failed != nil {
			return failed
		}
		return err
	}
}
