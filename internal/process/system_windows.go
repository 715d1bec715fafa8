package process

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
	"golang.org/x/sys/windows"
)

// sysProcAttr keeps the console's Ctrl-C from the child.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// DumpSignals are none.
func DumpSignals() []os.Signal { return nil }

// signalGroup ends the process, whatever the signal. Its children live on.
func signalGroup(proc *os.Process, _ syscall.Signal) error {
	if err := proc.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// awaitExit returns when the process has ended; its handle stays open.
func (c *child) awaitExit() {
	_ = c.os.WithHandle(func(handle uintptr) {
		_, _ = windows.WaitForSingleObject(windows.Handle(handle), windows.INFINITE)
	})
}

// cutOff gives the reader a second to come to the end by itself and then
// closes the pipe: pipes have no deadlines here, and a grandchild that holds
// one open must not hide the death of the process.
func (o *output) cutOff() {
	if !task.ClosedWithin(o.reader.Done(), time.Second) {
		_ = o.file.Close() // a second time, by child.close, does no harm
	}
}

// rest has nothing to do: read came to the end of the pipe.
func (o *output) rest() {}

// A child on Windows inherits no descriptors beyond the standard three.
var lifelineEnv []string

func (p *pipes) openLifeline() error { return nil }

// HoldLifeline does nothing on Windows, where a child that loses its host lives
// on until it notices by itself.
func HoldLifeline() error { return nil }

func aimLifeline([]*os.File, int) {}

// closeOnExecFrom has nothing to do: handles are inherited only when they are listed.
func closeOnExecFrom(uint) {}
