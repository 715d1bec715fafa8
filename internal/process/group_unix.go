//go:build unix

package process

import (
	"errors"
	"os"
	"syscall"
)

// signalGroup signals the group that proc leads. The caller makes sure that
// proc is not reaped, so that both numbers are still its own.
//
// A leader that has moved to another group is met by a kill of its own. SIGTERM
// goes to it only if its group is empty: nobody is to get it twice, as a second
// one means hurry to many programs.
func signalGroup(proc *os.Process, sig syscall.Signal) error {
	err := syscall.Kill(-proc.Pid, sig)
	if sig == syscall.SIGKILL || errors.Is(err, syscall.ESRCH) {
		err = proc.Signal(sig)
	}
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
