package process

import (
	"os"
	"os/signal"
	"syscall"
)

// EndSignals are the signals that ask a program to end in order: SIGTERM, SIGINT and
// SIGHUP. The last two are left out if they were ignored when it was started: nohup
// and shells mean by it that the program is to outlive a terminal, or to ignore its
// Ctrl-C. SIGTERM is sent on purpose, and without it only SIGKILL would be left.
func EndSignals() []os.Signal {
	all := []os.Signal{syscall.SIGTERM}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}
