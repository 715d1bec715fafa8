//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Sockets are found from outside the code under test: in the list of this
// process's descriptors, by the process at their other end. Between a host and a
// child there are two connections: the host dials go-plugin's main connection, and
// the child dials the link.

// cut breaks this process's sockets to another one, and counts them.
func cut(peer int, main bool, how string) (n int, err error) {
	isHost := peer != os.Getppid()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return n, err
		}
		broken, err := cutOne(fd, peer, isHost == main, how)
		if err != nil {
			return n, fmt.Errorf("descriptor %d: %w", fd, err)
		}
		if broken {
			n++
		}
	}
	return n, nil
}

// cutOne breaks a socket if it is connected to that process, and was dialled here
// or not. It works on a copy of the descriptor, which stays what it is.
func cutOne(fd, peer int, dialled bool, how string) (broken bool, err error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false, nil // it was closed since the list was read
	}
	defer func() { err = errors.Join(err, unix.Close(own)) }()
	who, err := unix.GetsockoptUcred(own, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(who.Pid) != peer {
		return false, nil // no socket, or one to somebody else
	}
	local, err := unix.Getsockname(own)
	if err != nil {
		return false, err
	}
	if unnamed := isUnnamed(local); unnamed != dialled {
		return false, nil // the other connection
	}
	if accepting, err := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || accepting != 0 {
		return false, err
	}
	return true, breakSocket(own, how)
}

// isUnnamed reports whether a socket was not bound: it is the end that dialled.
func isUnnamed(a unix.Sockaddr) bool {
	u, ok := a.(*unix.SockaddrUnix)
	return ok && (u.Name == "" || u.Name == "@")
}

// breakSocket breaks a connection, wherever its traffic is: at the end of a frame
// or within one.
func breakSocket(fd int, how string) error {
	hows := map[string]int{"read": unix.SHUT_RD, "write": unix.SHUT_WR, "both": unix.SHUT_RDWR}
	if direction, ok := hows[how]; ok {
		return gone(unix.Shutdown(fd, direction))
	}
	_, err := unix.Write(fd, []byte("\x17\x03\x03\x00\x20 this is not a record of anybody's session"))
	if errors.Is(err, unix.EAGAIN) { // nobody reads; then there is no other way
		err = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
	return gone(err)
}

// gone takes a connection that has ended for one that is broken.
func gone(err error) error {
	if errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}
