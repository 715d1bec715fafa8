package shm

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bed is the word in shared memory on which one end sleeps. That end puts a state there and
// takes it away; the other one takes it away when it wakes it.
type bed struct{ word atomic.Uint32 }

const (
	awake  = 0
	dozing = 1 // a thread waits on the word itself
	asleep = 2 // a goroutine waits on the socket
)

// doze waits until it is woken, for the given time at most, unless the peer has changed the
// word before. Whatever ended it, the caller looks for itself. The system call is an
// ordinary one for Go's scheduler: other goroutines get the processor soon.
func (b *bed) doze(bound time.Duration) {
	limit := unix.NsecToTimespec(bound.Nanoseconds())
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.word)), futexWait, dozing, uintptr(unsafe.Pointer(&limit)), 0, 0) //nolint:gosec // the kernel takes addresses
}

// rouse wakes whoever sleeps there. It reports true if that needs the bell.
func (b *bed) rouse() (bell bool) {
	state := b.word.Load()
	if state == awake || !b.word.CompareAndSwap(state, awake) {
		return false // who changed it in between is awake
	}
	if state == dozing {
		b.wake()
	}
	return state == asleep
}

// wake wakes all threads that doze: most often one, and two while the reading goes from one
// to another. It never blocks, so the scheduler need not hear of it.
func (b *bed) wake() {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.word)), futexWake, math.MaxInt32, 0, 0, 0) //nolint:gosec // as above
}

// rise wakes all threads that doze there, and leaves a goroutine on the socket to that.
func (b *bed) rise() {
	if b.word.CompareAndSwap(dozing, awake) {
		b.wake()
	}
}

// Operations of futex(2), of words that processes share.
const (
	futexWait = 0
	futexWake = 1
)
