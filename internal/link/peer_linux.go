package link

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Peer is the process that has opened the other end of a connection: that has connected, or
// listened; and its user. The kernel remembers them from that moment, so a process which has passed
// the socket on is still the one named. The pid is 0 for another pid namespace.
func Peer(conn *net.UnixConn) (pid, uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, 0, err
	}
	if failed != nil {
		return 0, 0, fmt.Errorf("whose process is at the other end: %w", failed)
	}
	return int(peer.Pid), int(peer.Uid), nil
}

// writeNow writes to a socket that does not block, in one system call, and gives how many bytes it
// has taken.
func writeNow(fd int, parts [][]byte) (int, error) {
	n, err := unix.Writev(fd, parts)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}
