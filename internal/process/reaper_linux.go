package process

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// What a child has started, and has not waited for, is given to somebody when the
// child dies: to PID 1, or to the next process above that is a subreaper. If that
// is this program, it has to wait for them, or they stay as zombies for ever.
//
// It must not wait for anybody else's children: an exit code can be had once. The
// children that this program has started itself are known by their pidfds: package
// os (and so os/exec, and a Process) holds one for each of its own until it has
// waited for it. What was started in other ways, as C code does, is known by its
// process group, which is this program's: what a Process has started is in another.
// Before Linux 5.4 there are no pidfds, and nothing is reaped.

// startReaper is done once, by a program that gets orphans. SIGCHLD is a hint and not a count: the
// kernel and the channel both fold several into one, so every round looks for all zombies, and the
// first one comes before any signal. os/signal delivers a signal to everyone who asked for it, so
// an application's own handler goes on getting SIGCHLD.
var startReaper = sync.OnceFunc(func() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	task.Start(func() { // it lives as long as the program
		for {
			reapOrphans()
			<-ended
		}
	})
})

// adoptOrphans makes this program reap what its children orphan, if that comes to it. It is asked
// at each start of a child, as an application may become a subreaper at any time.
func adoptOrphans() {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	if os.Getpid() == 1 || err == nil && subreaper != 0 {
		startReaper()
	}
}

// reapOrphans waits for every zombie that nobody else will wait for.
func reapOrphans() {
	var info unix.Siginfo
	if unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != nil || info.Signo == 0 {
		return // there is no zombie at all
	}
	for _, z := range zombies() {
		z.reap()
	}
}

// zombie is a dead child of this program. Its pid may be somebody else's as soon as
// it has been waited for; with the time of its start it is its own.
type zombie struct {
	pid, group int
	started    string
}

// reap waits for a zombie, if it is an orphan. Between the listing and the wait somebody else may
// have reaped it, and its pid may be that of a new child. A pidfd names a process and not a number;
// so it is opened first, and then the pid is looked at once more.
func (z zombie) reap() {
	if z.group == unix.Getpgrp() || z.isHeld() {
		return
	}
	fd, err := unix.PidfdOpen(z.pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if again, ok := readZombie(strconv.Itoa(z.pid)); ok && again == z { // the pidfd is this one's
		_ = unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil)
	}
}

// isHeld reports whether somebody in this program has a pidfd of a process. If that
// cannot be seen, somebody may have.
func (z zombie) isHeld() bool {
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil || len(infos) == 0 {
		return true
	}
	mark := []byte("\nPid:\t" + strconv.Itoa(z.pid) + "\n")
	for _, name := range infos {
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, mark) {
			return true
		}
	}
	return false
}

// zombies are the dead children of this program. Its threads each have their own.
func zombies() (all []zombie) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name) // a thread may have ended
		for pid := range strings.FieldsSeq(string(text)) {
			if z, ok := readZombie(pid); ok {
				all = append(all, z)
			}
		}
	}
	return all
}

// readZombie reads /proc/PID/stat: pid (name) state ppid pgrp …, the 22nd is when it
// was started. A name may have spaces and parentheses.
func readZombie(pid string) (z zombie, ok bool) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return z, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 || fields[0] != "Z" || fields[1] != strconv.Itoa(os.Getpid()) {
		return z, false
	}
	z.pid, _ = strconv.Atoi(pid) // the kernel writes numbers
	z.group, _ = strconv.Atoi(fields[2])
	z.started = fields[19]
	return z, true
}
