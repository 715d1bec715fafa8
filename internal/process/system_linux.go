package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// sysProcAttr makes the child the leader of a new group in the host's session.
// It gets no session of its own: the host's death then orphans the group, and
// the kernel wakes the stopped members of an orphaned group with SIGHUP and
// SIGCONT, so that none of them sleeps through its end.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// execute makes the fork run the very file that was checked. The child gets it
// as its last descriptor and open, not close-on-exec: a script's interpreter
// opens it once more. The path is read in the child, where the number of a descriptor is its place
// in the list of files.
func (f *fork) execute(image *os.File) {
	if image == nil {
		return
	}
	f.path = fmt.Sprintf("/proc/self/fd/%d", len(f.attr.Files))
	f.attr.Files = append(f.attr.Files, image)
}

// do creates the process from the forker's thread. It waits for the result
// even if ctx ends meanwhile, which takes as long as exec takes to read the
// head of the file.
func (f *fork) do(ctx context.Context) (proc *os.Process, err error) {
	done := make(chan struct{})
	select {
	case forker() <- func() { proc, err = f.now(ctx); close(done) }:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	<-done
	return proc, err
}

// forker starts forkLoop when the first process is wanted.
var forker = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	task.Start(func() { forkLoop(jobs) }) // it lives as long as the program
	return jobs
})

// forkLoop makes every fork of the program from one thread that never ends:
// the parent-death signal comes when the forking *thread* dies, and Go ends
// threads as it likes. One after another costs nothing, as the runtime lets
// only one fork at a time happen anyway.
func forkLoop(jobs <-chan func()) {
	runtime.LockOSThread()
	for job := range jobs {
		job()
	}
}

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

// pollExit reports false if there is no waiting for the watch. Read of a RawConn calls its
// function, and as long as that says no, parks the goroutine until the descriptor is
// readable, which a pidfd is once its process has ended. An older kernel, which cannot wait
// by pidfd, refuses in the first call.
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

// peakRSS is the most memory that the process had at one time, in bytes.
func peakRSS(state *os.ProcessState) int64 {
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		return int64(used.Maxrss) << 10 //nolint:unconvert // it is an int32 on some machines
	}
	return 0
}

// readShort reads a file of the kernel's with the three calls that it takes, which is half of what package os needs.
func readShort(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	var text [256]byte
	n, _ := unix.Read(fd, text[:]) // -1 if it is gone
	return string(text[:max(n, 0)])
}

// ownPeak is the most memory that this process has had, in bytes. A child's rusage begins with it: until its exec, it had the
// memory of this one.
func ownPeak() int64 {
	peak, _ := strconv.ParseInt(strings.TrimSuffix(status("self")["VmHWM"], " kB"), 10, 64) // 0 if it is not a number
	return peak << 10
}

// status is what the kernel says of a process, by names. A file that cannot be read says nothing: the process may end at
// any moment.
func status(pid string) map[string]string {
	text, _ := os.ReadFile("/proc/" + pid + "/status")
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// starved sums up what the kernel counts for each thread of a process, in nanoseconds. A kernel that
// does not count it has no such file, or zeros in it.
func starved(pid int) time.Duration {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat")
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

// cpuOf asks the clock that every process has, which is exact where stat counts ticks; 0 if there is no such process. The number
// of that clock is made of the id, as clock_getcpuclockid(3) makes it, so that no file is opened for it.
func cpuOf(pid int) time.Duration {
	const allThreads = 2 // CPUCLOCK_SCHED
	var used unix.Timespec
	if pid == 0 || unix.ClockGettime(int32(^pid)<<3|allThreads, &used) != nil { // 0 would be this process
		return 0
	}
	return time.Duration(used.Nano())
}

// loadOf reads statm as well, whose second number is in pages, and how many entries the folder of descriptors has, which Linux tells as its size since 6.2.
func loadOf(pid int) (l Load) {
	if l.CPU = cpuOf(pid); pid == 0 {
		return l
	}
	proc := "/proc/" + strconv.Itoa(pid)
	if fields := strings.Fields(readShort(proc + "/statm")); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if it is not a number
		l.RSS = pages * int64(os.Getpagesize())
	}
	var folder unix.Stat_t
	if err := unix.Stat(proc+"/fd", &folder); err == nil && folder.Size > 0 {
		l.Descriptors = int(folder.Size)
	} else if entries, err := os.ReadDir(proc + "/fd"); err == nil {
		l.Descriptors = len(entries)
	}
	return l
}

// doing is the state of a process, and how many threads it has.
func doing(pid int) (state string, threads int) {
	s := status(strconv.Itoa(pid))
	threads, _ = strconv.Atoi(s["Threads"]) // 0 if it is not a number
	return s["State"], threads
}
