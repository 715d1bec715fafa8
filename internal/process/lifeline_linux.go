package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// guard makes the kernel watch the lifeline, through the child's read end and
// through one of the host's own; lifeline_unix.go says why both. The sentinel has to
// be an open file by itself, not a second number for the child's, and a lower
// number than the write end. Opening the pipe's name in /proc gives an open file of its own,
// which dup does not; and as the new number is the lowest that is free, it is the write end that
// is moved up.
func (p *pipes) guard(r *os.File) error {
	p.arm(r)
	sentinel, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", r.Fd()), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // no /proc
	}
	if err != nil {
		return err
	}
	p.host.sentinel = sentinel
	p.arm(sentinel)
	w := p.host.lifeline
	defer func() { _ = w.Close() }() // nothing was written
	higher, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD_CLOEXEC, int(sentinel.Fd())+1)
	if errors.Is(err, unix.EINVAL) {
		err = unix.EMFILE // what it calls a number beyond the limit
	}
	if err != nil {
		return err
	}
	p.host.lifeline = os.NewFile(uintptr(higher), "lifeline")
	return nil
}

// arm says what the kernel is to do when the write end is closed. It happens
// before the fork, as the child may change the flags at the same time. Errors
// are ignored here and in aimLifeline: on a kernel that refuses, the child's
// own watch and the parent-death signal are left.
func (p *pipes) arm(r *os.File) {
	p.guards = append(p.guards, r)
	flags, _ := unix.FcntlInt(r.Fd(), unix.F_GETFL, 0)
	_, _ = unix.FcntlInt(r.Fd(), unix.F_SETFL, flags|unix.O_ASYNC)
	_, _ = unix.FcntlInt(r.Fd(), unix.F_SETSIG, int(unix.SIGKILL))
}

// aimLifeline says to whom: the group that pid leads. The kernel keeps the
// group itself and not its number, so a later owner of the number is safe.
func aimLifeline(guards []*os.File, pid int) {
	for _, r := range guards {
		if raw, err := r.SyscallConn(); err == nil { // Fd would change flags
			_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETOWN, -pid) })
		}
	}
}

// closeOnExecFrom marks every open descriptor from first up.
func closeOnExecFrom(first uint) {
	if unix.CloseRange(first, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	open, _ := os.ReadDir("/proc/self/fd") // before Linux 5.11
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= int(first) {
			unix.CloseOnExec(fd)
		}
	}
}

// pinMain keeps the main goroutine on the main thread until dropDeathSignal.
// It is called from init.
func pinMain() { runtime.LockOSThread() }

// dropDeathSignal turns the parent-death signal off and undoes pinMain. Called
// from elsewhere than the main goroutine it has to reach the main thread with
// a call on all threads, which Go refuses to programs with cgo.
func dropDeathSignal() error {
	if unix.Gettid() == unix.Getpid() {
		defer runtime.UnlockOSThread()
		return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	}
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0, 0, 0, 0, 0)
	switch {
	case errno == 0:
		return nil
	case errors.Is(errno, syscall.ENOTSUP):
		return errors.New("HoldLifeline was not called from the main goroutine of a program with cgo; the parent-death signal stays on")
	}
	return fmt.Errorf("turn off the parent-death signal: %w", errno)
}
