//go:build unix

package process

import (
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

var lifelineEnv = []string{environ.Lifeline + "=" + strconv.Itoa(lifelineFD)}

// held is this program's own lifeline, up to its parent.
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
			own(watchLifeline)
			held.err = dropDeathSignal()
		}
	})
	return held.err
}

// watchLifeline waits for the end of the pipe, which has no other news.
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
