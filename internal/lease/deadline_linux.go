package lease

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clock also counts while the machine sleeps.
func clock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every kernel that Go runs on has this clock
	}
	return time.Duration(t.Nano())
}

// deadline is a timer of the kernel that kills this process. It needs no goroutine to run: so it
// also ends a process that is stopped, or does not get a processor.
type deadline struct {
	id   int32
	none bool // the kernel has refused it
	late *time.Timer
}

// sigevent is the kernel's: which signal a timer sends.
type sigevent struct {
	value  uintptr
	signal int32
	notify int32 // 0: a signal to the process
	_      [48]byte
}

func newDeadline() *deadline {
	var d deadline
	e := sigevent{signal: int32(unix.SIGKILL)}
	_, _, errno := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&e)), uintptr(unsafe.Pointer(&d.id))) //nolint:gosec // the kernel takes addresses
	d.none = errno != 0
	return &d
}

// set moves the deadline, to a time of clock.
func (d *deadline) set(at time.Duration) {
	if !d.none {
		const absolute = 1 // TIMER_ABSTIME
		when := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
		_, _, errno := unix.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(d.id), absolute, uintptr(unsafe.Pointer(&when)), 0, 0, 0) //nolint:gosec // as above
		d.none = errno != 0
	}
	if d.none {
		d.late = killAt(d.late, at)
	}
}

// killSelf ends this process at once.
func killSelf() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) } // nothing comes after it
