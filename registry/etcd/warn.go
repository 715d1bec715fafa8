package etcd

import (
	"sync"
	"time"
)

// warnings tell the same thing once a second at first, and once a minute when it goes on. The zero value is ready.
type warnings struct {
	mu    sync.Mutex
	next  time.Duration // not before this
	pause time.Duration
}

// due reports whether a failure is to be told.
func (w *warnings) due(now time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pause > 0 && now < w.next {
		return false
	}
	w.pause = min(max(time.Second, 2*w.pause), time.Minute)
	w.next = now + w.pause
	return true
}

// over takes note that it works, and reports whether a failure was told.
func (w *warnings) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.pause > 0
	w.pause = 0
	return told
}
