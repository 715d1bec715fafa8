package bench

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is the time that a process has used, to the nanosecond, threads that have
// ended included. Its clock is the one that clock_getcpuclockid(3) gives; what /proc/PID/stat
// has is counted in hundredths of a second.
func processorTime(pid int) (time.Duration, error) {
	const schedule = 2 // CPUCLOCK_SCHED: what the scheduler has counted
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedule), &t); err != nil {
		return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// waitedFor is the processor time of the children that have ended and were waited for.
func waitedFor() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// threadsHere is how many threads this process has.
func threadsHere() (int, error) {
	all, err := os.ReadDir("/proc/self/task")
	return len(all), err
}

// machineTime is the processor time that all programs have used together.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const tick = time.Second / 100 // USER_HZ, wherever Go runs
	var user, nice, system int64
	line, _, _ := strings.Cut(string(text), "\n")
	if _, err := fmt.Sscanf(line, "cpu %d %d %d", &user, &nice, &system); err != nil {
		return 0, fmt.Errorf("/proc/stat begins with %q, expected cpu and its times: %w", line, err)
	}
	return time.Duration(user+nice+system) * tick, nil
}
