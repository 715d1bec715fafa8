// Package foreground has tests start programs as they would be started in the foreground. What a
// shell's script runs in its background ignores interrupts, and so does all that it starts.
package foreground

import (
	"os"
	"os/signal"
	"syscall"
)

// Signals has the programs that this one starts from now on be ended by the signals that it was
// started to ignore itself. This one goes on doing so.
func Signals() {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // what is caught is not ignored by a program that is executed
		}
	}
}
