//go:build !linux

package lease

import (
	"os"
	"time"
)

var started = time.Now()

// clock is the time since the program began. Whether it counts while the machine sleeps is the
// system's to decide.
func clock() time.Duration { return time.Since(started) }

// deadline ends this process at a time, if it runs then.
type deadline struct{ late *time.Timer }

func newDeadline() *deadline { return &deadline{} }

// set moves the deadline, to a time of clock.
func (d *deadline) set(at time.Duration) { d.late = killAt(d.late, at) }

// killSelf ends this process at once.
func killSelf() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		os.Exit(2) // as near as it gets
	}
}
