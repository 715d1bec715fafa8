package shm

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// What the end that offers says, with the memory's descriptor or without, and what the
// other one answers.
const (
	no  = 0
	yes = 1
)

// Offer makes memory and offers it to the process at the other end of a socket, which calls Take.
// Without an error and without a Conn, that process has declined, or there is no memory to be
// had: the socket is as it was.
func Offer(sock *net.UnixConn) (*Conn, error) {
	mem, fd, err := newMemory()
	if err != nil {
		_, err := sock.Write([]byte{no})
		return nil, err
	}
	_, _, err = sock.WriteMsgUnix([]byte{yes}, unix.UnixRights(fd), nil)
	_ = unix.Close(fd) // the mapping and the message hold the memory
	var answer [1]byte
	if err == nil {
		_, err = sock.Read(answer[:])
	}
	if err == nil && answer[0] > yes {
		err = fmt.Errorf("the peer answered the offer of memory with the byte %d, expected %d or %d", answer[0], no, yes)
	}
	if err != nil || answer[0] == no {
		mem.unmap()
		return nil, err
	}
	return newConn(sock, mem, true), nil
}

// Take takes the memory that the process at the other end of a socket offers, if this end
// can rely on it. Without an error and without a Conn, there is none: the socket is as it
// was. Whatever has come with the offer is closed.
func Take(sock *net.UnixConn) (*Conn, error) {
	said, fds, whole, err := receive(sock)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // the mapping holds the memory
		}
	}()
	switch {
	case err != nil:
		return nil, err
	case said == no:
		return nil, nil
	case said != yes:
		return nil, fmt.Errorf("the peer's offer of memory began with the byte %d, expected %d or %d", said, no, yes)
	}
	var mem *memory
	if whole && len(fds) == 1 {
		mem, _ = openMemory(fds[0]) // what cannot be relied on is declined
	}
	if mem == nil {
		_, err := sock.Write([]byte{no})
		return nil, err
	}
	if _, err := sock.Write([]byte{yes}); err != nil {
		mem.unmap()
		return nil, err
	}
	return newConn(sock, mem, false), nil
}

// receive reads one byte, and the descriptors that came with it; whole is false if the
// kernel had to leave some out.
func receive(sock *net.UnixConn) (said byte, fds []int, whole bool, err error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4*4)) // for more than the one that is expected
	_, n, flags, _, err := sock.ReadMsgUnix(b[:], oob)
	if err != nil {
		return 0, nil, false, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return 0, nil, false, fmt.Errorf("what came with the peer's offer of memory cannot be read: %w", err)
	}
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil { // others carry no descriptors
			fds = append(fds, got...)
		}
	}
	return b[0], fds, flags&unix.MSG_CTRUNC == 0, nil
}
