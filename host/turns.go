package host

import (
	"runtime"
	"sync"
	"time"
)

const (
	turnsOfProcessor = 4                      // so many children end at once for each processor
	turnLength       = 100 * time.Millisecond // at most
	longestWait      = 2 * time.Second        // for a turn
)

// turns keep a nursery from asking all of many children to end at the same moment. Most
// of what an end costs is the kernel's work with a process that has answered already.
// All at once, that work delays the answers of the others and the host itself, until
// all seem to be too slow. A child that takes its time holds up the others for a
// moment only: a turn is a courtesy and no lock.
type turns struct {
	taken   chan struct{} // as many as there may be
	longest time.Duration // that one is waited for
}

func newTurns() *turns {
	return &turns{make(chan struct{}, turnsOfProcessor*runtime.GOMAXPROCS(0)), longestWait}
}

// take waits for a turn, until patience is over or one of the others is closed. The
// caller calls done when the child has ended.
func (t *turns) take(patience time.Duration, dead, gone, hurry <-chan struct{}) (done func()) {
	timer := time.NewTimer(min(patience, t.longest))
	defer timer.Stop()
	select {
	case t.taken <- struct{}{}:
		giveBack := sync.OnceFunc(func() { <-t.taken })
		expiry := time.AfterFunc(turnLength, giveBack)
		return func() {
			expiry.Stop()
			giveBack()
		}
	case <-timer.C:
	case <-dead:
	case <-gone:
	case <-hurry:
	}
	return func() {}
}
