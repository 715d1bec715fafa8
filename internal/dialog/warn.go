package dialog

import (
	"sync"
	"time"
)

// warning is something about a stream that its authors want to know: it is better to be
// told than to freeze without notice. What is ordinary for a moment is a detail of the log,
// and a warning when it lasts.
type warning uint8

const (
	warnUnopened  warning = iota // a message went to an end that has not opened
	warnFull                     // a sender waits for room
	warnOverflow                 // messages are kept beyond the window
	warnCongested                // a sender that waits for no room waits for the connection
	warnings
)

var warningTexts = [warnings]string{
	"sending to a task that has not opened its stream",
	"a sender waits: its peer's stream buffer is full",
	"a stream keeps messages beyond its buffer",
	"a sender without backpressure waits: the connection takes less than it sends",
}

const (
	// warnEvery is how long a kind of warning is silent on a link after it was logged. A peer
	// with thousands of dialogs would otherwise write thousands of lines about one cause.
	warnEvery = time.Second
	// warnAfter is how long a stream may stand still before its authors are warned. Waiting for
	// room is ordinary; it is a mistake only when it does not end.
	warnAfter = 5 * time.Second
)

// limiter keeps the warnings of one link from flooding the log. It is a part of the table, with
// a mu of its own: it is asked without any other lock.
type limiter struct {
	mu      sync.Mutex
	until   [warnings]time.Time
	dropped [warnings]int // since the last one that was let through
}

// allow reports whether a warning goes into the log now, and how many did not since the last one:
// the next line names their number, so that silence is not taken for the end of the trouble.
func (l *limiter) allow(w warning, now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until[w]) {
		l.dropped[w]++
		return 0, false
	}
	l.until[w] = now.Add(warnEvery)
	dropped, l.dropped[w] = l.dropped[w], 0
	return dropped, true
}

// warnOnce has w told in the log, once in the life of the dialog, and again if the stream went
// on in between. It is called with mu held, on the path of a message. The log's handler may be an
// author's, so it is called by a timer's goroutine and not here.
func (d *Dialog) warnOnce(w warning) {
	if d.warned[w] {
		return
	}
	d.warned[w] = true
	if w == warnOverflow { // nobody waits, and memory grows
		time.AfterFunc(0, func() { d.warn(w) })
		return
	}
	sent := d.out.sent
	time.AfterFunc(warnAfter, func() { d.warnIfStill(w, sent) })
}

// warnIfStill runs warnAfter later, without a lock, and warns if nothing has moved meanwhile.
// sent is how many messages had been sent when the wait began: another number now means that
// the stream has gone on. An unopened end is asked for itself, since messages still fit there.
func (d *Dialog) warnIfStill(w warning, sent uint64) {
	d.mu.Lock()
	still := d.out.sent == sent
	if w == warnUnopened {
		still = !d.out.attached && !d.out.deaf
	}
	over := d.done || d.ended()
	d.warned[w] = still
	d.mu.Unlock()
	if still && !over {
		d.warn(w, "for", warnAfter)
		return
	}
	d.table.log().Debug(warningTexts[w], "peer", d.Peer().String(), "endpoint", d.endpoint)
}

// warn logs a warning, unless one of its kind was logged a moment ago.
func (d *Dialog) warn(w warning, more ...any) {
	if dropped, ok := d.table.limiter.allow(w, time.Now()); ok {
		d.table.log().Warn(warningTexts[w],
			append(more, "peer", d.Peer().String(), "endpoint", d.endpoint, "not_logged_before", dropped)...)
	}
}
