//go:build unix

package process

import (
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// The lifeline is a pipe. Its write end is held by the host alone, from before
// the fork until the child is reaped, and nothing is ever written into it; its
// read end is the child's descriptor 3. Whatever ends the host, kill -9
// included, closes the write end. Who then kills the child's group:
//
//   - On Linux the kernel itself, at once: the host asks it to send SIGKILL to
//     the child's process group when anything happens on the read end
//     (O_ASYNC, F_SETSIG, F_SETOWN). It needs nothing of the child, not even
//     that it can run, and so also protects from programs that do not know us
//     and from what they leave behind when they die. (A byte written into the
//     pipe would be something happening, too.)
//   - Everywhere, the child, if it called HoldLifeline: it sees the end of the
//     pipe and kills its own group. This is what there is on other systems.
//   - On Linux, before the request above is made, which takes a group that
//     exists and so comes right after the exec: the parent-death signal. It
//     kills the leader only, so a program that has HoldLifeline turns it off:
//     leader and group end together.
//
// The kernel's request belongs to an open read end and is gone with it. The
// child's may be closed before the host's write end, as the death of the host's
// forking thread kills the child while the host is still closing. So the host
// has a read end of its own, the sentinel. It dies with the host, but later
// than the write end: an ending process drops its descriptors from the lowest
// number up, and the kernel closes what was dropped in the reverse order. If a
// kernel does otherwise, the child's read end is left.
//
// What remains: a program without HoldLifeline that forks in the first fraction
// of a millisecond after its exec, while the host is killed at that very
// moment. Its leader dies, what it forked lives.
//
// Each process has lifelines of its own to its children; a tree of processes
// ends level by level.

// lifelineFD is the child's number for the read end.
const lifelineFD = 3

var lifelineEnv = []string{environ.Lifeline + "=" + strconv.Itoa(lifelineFD)}

// held is this program's own lifeline, up to its parent. init sets file before anything else runs;
// after that only the watcher reads it. It is never closed, so it ends with the program.
var held struct {
	file *os.File // nil: none was given
	once sync.Once
	err  error
}

// init takes the lifeline before any other code can start a process that would
// inherit it, the variable, or any other descriptor that came with it: what a
// host gives to its child is not for the child's children.
func init() {
	value, ok := os.LookupEnv(environ.Lifeline)
	if !ok {
		return
	}
	_ = os.Unsetenv(environ.Lifeline)
	if value == strconv.Itoa(lifelineFD) && isPipe(lifelineFD) {
		closeOnExecFrom(lifelineFD)
		_ = syscall.SetNonblock(lifelineFD, true) // so that the watcher waits without a thread
		held.file = os.NewFile(lifelineFD, "lifeline")
		pinMain()
	}
}

// isPipe guards against a variable that is there by mistake: a program started
// by hand must not read a descriptor that means something else.
func isPipe(fd int) bool {
	var stat syscall.Stat_t
	return syscall.Fstat(fd, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFIFO
}

// HoldLifeline binds this process and its process group to the life of the
// host that started it: once the host is gone, all of them get SIGKILL. In a
// program that was not started by a Process it does nothing. It can be called
// again without effect.
//
// Call it from the main goroutine: on Linux it turns off the parent-death
// signal, which is an attribute of the main thread. It returns an error if it
// could not; the lifeline holds all the same.
//
// A host that died before the call is noticed: the end of a pipe is a state
// and not an event, and the watcher's first read sees it. The watch begins
// before the signal is turned off, so there is no moment without either.
func HoldLifeline() error {
	held.once.Do(func() {
		if held.file != nil {
			task.Start(watchLifeline) // it lives as long as the program
			held.err = dropDeathSignal()
		}
	})
	return held.err
}

// watchLifeline waits for the end of the pipe, which has no other news. Group 0 is this process's
// own, and SIGKILL does not return; if there is an error all the same, the loop tries again.
func watchLifeline() {
	var b [1]byte
	for {
		if _, err := held.file.Read(b[:]); err != nil {
			_ = syscall.Kill(0, syscall.SIGKILL)
		}
	}
}

// openLifeline makes the lifeline.
func (p *pipes) openLifeline() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.child = append(p.child, r)
	p.host.lifeline = w
	return p.guard(r)
}
