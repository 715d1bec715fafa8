package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peakRSS is the most memory that the process had at one time, in bytes.
func peakRSS(state *os.ProcessState) int64 {
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		return int64(used.Maxrss) << 10 //nolint:unconvert // it is an int32 on some machines
	}
	return 0
}

// Starved is how long the process's threads have waited for a processor so far, all
// together, since each began. It grows only while a thread could have run and the machine
// had no time for it: not of a process that is stopped, sleeps or runs. It is 0 if the
// process is gone or the kernel does not count it.
func (p *Process) Starved() time.Duration {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/schedstat")
	if err != nil {
		return 0
	}
	var sum time.Duration
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread is gone
		}
		// The processor time, the time in a run queue, and how often it ran.
		if fields := strings.Fields(string(text)); len(fields) == 3 {
			waited, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if it is not a number
			sum += time.Duration(waited)
		}
	}
	return sum
}
