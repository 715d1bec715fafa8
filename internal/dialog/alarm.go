package dialog

import (
	"sync"
	"time"
)

// alarm is something about a stream that its authors want to know: better to
// notify than to freeze without notice. What is ordinary for a moment is a detail,
// and worth a warning when it lasts.
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

// lasts is how long a stream may stand still before its authors are warned.
const lasts = 5 * time.Second

// alarm has a told in the log, once in the life of the dialog, and again if the
// stream went on in between. It is called under the lock: the log, which is the
// author's, is written by another goroutine.
func (d *Dialog) alarm(a alarm) {
	if d.raised[a] {
		return
	}
	d.raised[a] = true
	if a == spilled { // nobody waits, and memory grows
		time.AfterFunc(0, func() { d.warn(a) })
		return
	}
	sent := d.out.sent
	time.AfterFunc(lasts, func() { d.lookAgain(a, sent) })
}

// lookAgain warns of what was so for a while. sent is how many messages had been
// sent at its begin.
func (d *Dialog) lookAgain(a alarm, sent uint64) {
	d.mu.Lock()
	still := d.out.sent == sent
	if a == unopened {
		still = !d.out.attached && !d.out.deaf
	}
	over := d.done || d.ended()
	d.raised[a] = still
	d.mu.Unlock()
	if still && !over {
		d.warn(a, "for", lasts)
		return
	}
	d.table.log().Debug(alarmTexts[a], "peer", d.Peer().String(), "endpoint", d.endpoint)
}

// warn logs an alarm, unless one of its kind was logged a moment ago.
func (d *Dialog) warn(a alarm, more ...any) {
	if muted, ok := d.table.bells.ring(a, time.Now()); ok {
		d.table.log().Warn(alarmTexts[a],
			append(more, "peer", d.Peer().String(), "endpoint", d.endpoint, "not_logged_before", muted)...)
	}
}
