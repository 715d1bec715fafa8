//go:build !linux

package bench

import (
	"fmt"
	"runtime"
	"time"
)

func unreadable(what string) error {
	return fmt.Errorf("%s can be read on Linux only, this is %s", what, runtime.GOOS)
}

// They are for Linux only.
func processorTime(int) (time.Duration, error) { return 0, unreadable("processor times of processes") }
func waitedFor() (time.Duration, error)        { return 0, unreadable("processor times of processes") }
func machineTime() (time.Duration, error)      { return 0, unreadable("the machine's processor time") }
func threadsHere() (int, error)                { return 0, unreadable("threads of processes") }
