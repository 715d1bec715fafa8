//go:build unix && !linux

package process

import (
	"os"
	"syscall"
)

// What only Linux can do.

func (p *pipes) guard(*os.File) error { return nil }
func aimLifeline([]*os.File, int)     {}
func pinMain()                        {}
func dropDeathSignal() error          { return nil }

// closeOnExecFrom marks the descriptors that a host can be expected to give.
func closeOnExecFrom(first uint) {
	for fd := first; fd < 64; fd++ {
		syscall.CloseOnExec(int(fd))
	}
}
