//go:build unix

package process

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// DumpSignals are the signals by which people ask a program what it is doing.
func DumpSignals() []os.Signal { return []os.Signal{syscall.SIGUSR1} }

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

// maxRest bounds what is taken from a pipe after the process's death. It is
// more than a pipe holds; without it, someone who fled from the group and
// writes on could keep the reader for ever.
const maxRest = 1 << 20

// cutOff makes read return soon: whatever the dead process wrote is in the
// pipe, and it does not matter who else holds it open.
func (o *output) cutOff() {
	_ = o.file.SetReadDeadline(time.Unix(1, 0))
}

// rest takes what lies in the pipe and does not wait for more. It goes past
// the deadline, which would refuse even bytes that are there.
func (o *output) rest() {
	raw, err := o.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for got := 0; got < maxRest; {
			n, err := syscall.Read(int(fd), o.buf)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			o.lines.write(o.buf[:n])
			got += n
		}
	})
}
