//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package process

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sysProcAttr makes the child the leader of a new group in the host's session.
// There is no parent-death signal; the lifeline alone has to do.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit returns when the process is dead and leaves it a zombie. It asks
// kqueue, as waitid with WNOWAIT is missing or unreliable on these systems.
func (c *child) awaitExit() {
	queue, err := unix.Kqueue()
	for err != nil { // no descriptor is free: one will be
		<-time.After(100 * time.Millisecond)
		queue, err = unix.Kqueue()
	}
	defer unix.Close(queue)
	unix.CloseOnExec(queue)
	var event unix.Kevent_t
	unix.SetKevent(&event, c.os.Pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	event.Fflags = unix.NOTE_EXIT
	changes, events := []unix.Kevent_t{event}, make([]unix.Kevent_t, 1)
	for {
		// A process that is dead already is refused, with an error or in events.
		if _, err := unix.Kevent(queue, changes, events, nil); err != unix.EINTR {
			return
		}
	}
}

// What only Linux can do.

func (p *pipes) guard(*os.File) error { return nil }
func aimLifeline([]*os.File, int)     {}
func pinMain()                        {}
func dropDeathSignal() error          { return nil }

// closeOnExecFrom marks the descriptors that a host can be expected to give.
func closeOnExecFrom(first uint) {
	for fd := first; fd < 64; fd++ {
		syscall.CloseOnExec(int(fd))
	}
}
