package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// sysProcAttr keeps the console's Ctrl-C from the child.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

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
