package dialog

import (
	"sync"
	"time"
)

// alarm is something about a stream that its authors want to know: better to
// notify than to freeze without notice.
type alarm uint8

const (
	unopened alarm = iota // a message went to an end that has not opened
	halted                // a sender waits for room
	spilled               // messages are kept beyond the window
	held                  // a sender that waits for no room waits for the connection
	alarms
)

var alarmTexts = [alarms]string{
	"sending to a task that has not opened its stream",
	"a sender waits: its peer's stream buffer is full",
	"a stream keeps messages beyond its buffer",
	"a sender without backpressure waits: the connection takes less than it sends",
}

// quiet is how long one kind of alarm of a link is silent after it was raised.
const quiet = time.Second

// bells keeps the alarms of one link from flooding the log.
type bells struct {
	mu    sync.Mutex
	until [alarms]time.Time
	muted [alarms]int // since the last one that was let through
}

// ring reports whether an alarm goes into the log now, and how many did not.
func (b *bells) ring(a alarm, now time.Time) (muted int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.until[a]) {
		b.muted[a]++
		return 0, false
	}
	b.until[a] = now.Add(quiet)
	muted, b.muted[a] = b.muted[a], 0
	return muted, true
}

// alarm logs a, once in the life of the dialog.
func (d *Dialog) alarm(a alarm) {
	if d.raised[a] {
		return
	}
	d.raised[a] = true
	if muted, ok := d.table.bells.ring(a, time.Now()); ok {
		d.table.log().Warn(alarmTexts[a],
			"peer", d.Peer().String(), "endpoint", d.endpoint, "not_logged_before", muted)
	}
}
