package link

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerPID is the process that has opened the other end of a connection: that has connected, or
// listened. The kernel remembers it from that moment, so a process which has passed the socket
// on is still the one named. It is 0 if it cannot be told, and for another pid namespace.
func peerPID(conn *net.UnixConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	err = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
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
