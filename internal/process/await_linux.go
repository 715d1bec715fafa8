package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process is dead and leaves it a zombie. It takes a
// thread while it waits, as every Wait of package os does.
func awaitExit(proc *os.Process) {
	for {
		err := unix.Waitid(unix.P_PID, proc.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return // any other error also comes from Wait, which reports it
		}
	}
}
