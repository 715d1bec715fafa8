package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// openWatch gives a descriptor of a process, which the runtime's poller can wait for;
// nil if the kernel gives none. A child that nobody has reaped keeps its pid.
func openWatch(pid int) *os.File {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "pidfd")
}

// awaitExit returns when the process is dead and leaves it a zombie. Without a watch it
// takes a thread while it waits, as every Wait of package os does.
func (c *child) awaitExit() {
	if c.watch != nil && c.pollExit() {
		return
	}
	_ = waitid(unix.P_PID, c.os.Pid, nil, 0) // an error also comes from Wait, which reports it
}

// pollExit reports false if there is no waiting for the watch.
func (c *child) pollExit() (dead bool) {
	raw, err := c.watch.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) (done bool) {
		var info unix.Siginfo
		err := waitid(unix.P_PIDFD, int(fd), &info, unix.WNOHANG)
		dead = err == nil && info.Signo != 0
		return dead || err != nil
	})
	return dead && err == nil
}

// waitid does not reap.
func waitid(kind, id int, info *unix.Siginfo, options int) error {
	for {
		err := unix.Waitid(kind, id, info, unix.WEXITED|unix.WNOWAIT|options, nil)
		if err != unix.EINTR {
			return err
		}
	}
}
