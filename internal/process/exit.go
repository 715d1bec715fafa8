package process

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code, or -1 if a signal ended the process.
	Code int
	// Signal is the signal that ended it, or 0. With Code -1, 0 means that the
	// status is unknown, because something else in the host waited for it.
	Signal syscall.Signal
	// LastLog are the last 20 lines of its stderr, as valid UTF-8 of at most
	// 1 KiB each.
	LastLog []string
	// Panic is the first line of stderr that looks like the head of a Go
	// panic or a fatal error of the Go runtime; "" if there was none.
	Panic string
	// Limit is which of Spec.Limits ended it, as "cpu: …", "memory: …",
	// "file_size: …" or "processes: …", as far as the system tells; else "".
	Limit string
	// PeakRSS is the most memory that it had at one time, in bytes, and CPU the processor time
	// that it used, with the children that it has waited for. 0 if the system does not tell, as of a process that
	// never had more memory than its host had when it started it.
	PeakRSS int64
	CPU     time.Duration
	// OOM is whether the kernel killed it, or what it had started, for lack of memory, as
	// far as its cgroup tells.
	OOM bool
}

// Success reports whether the exit code was 0.
func (e Exit) Success() bool { return e.Code == 0 }

// String is "exit code 3", "signal 9 (killed)" or "exit status unknown".
func (e Exit) String() string {
	switch {
	case e.Signal != 0:
		return fmt.Sprintf("signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code >= 0:
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return "exit status unknown: something else in this program waited for the process"
}

// ExitError is returned by Wait for a process that did not end with code 0.
type ExitError struct {
	Name string
	PID  int
	Exit
}

// Error names the process, how it ended, and what it said last.
func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "process %d (%s) ended: %s", e.PID, e.Name, e.Exit)
	if e.Limit != "" {
		fmt.Fprintf(&b, ": it ran into its limit of %s", e.Limit)
	}
	if e.Panic != "" {
		fmt.Fprintf(&b, ": %s", e.Panic)
	} else if n := len(e.LastLog); n > 0 {
		fmt.Fprintf(&b, ": last line on stderr: %s", e.LastLog[n-1])
	}
	return b.String()
}

// exitOf translates the operating system's answer. ExitCode is -1 after a signal. On Windows there
// are no signals, and the code is all there is.
func exitOf(state *os.ProcessState) Exit {
	exit := Exit{Code: state.ExitCode(), PeakRSS: peakRSS(state), CPU: state.SystemTime() + state.UserTime()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = status.Signal()
	}
	return exit
}
