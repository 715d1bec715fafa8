package lease

import "time"

// killAt is a deadline where the kernel has none: it needs this process to run.
func killAt(before *time.Timer, at time.Duration) *time.Timer {
	if before != nil {
		before.Stop()
	}
	return time.AfterFunc(at-clock(), killSelf)
}
