package control

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer is the pid of the process at the other end of a connection, as the kernel knows it; an error
// if it is not this user's. The pid is 0 in another pid namespace.
func checkPeer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, fmt.Errorf("whose process is at the other end: %w", failed)
	}
	if int(peer.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("the process at the other end, %d, belongs to the user %d, expected %d", peer.Pid, peer.Uid, os.Geteuid())
	}
	return int(peer.Pid), nil
}
