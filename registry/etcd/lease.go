package etcd

import "time"

// lease is the clock of a membership: a pure state machine. All times are on a clock that never goes back, does not
// stop while the machine is suspended, and runs at the registry's rate within a hundredth. Whoever uses it guards it.
type lease struct {
	margin time.Duration
	sent   time.Duration // when the last renewal that was answered had been sent
	ttl    time.Duration // which that answer gave
	next   time.Duration // when to renew
	lost   bool
}

// newLease is a lease that was granted by a request.
func newLease(sent, ttl, margin time.Duration) lease {
	l := lease{margin: margin}
	l.renewed(sent, ttl)
	return l
}

// renewed takes note of an answer. Those that come out of order, or after the lease was lost, move nothing back.
func (l *lease) renewed(sent, ttl time.Duration) {
	if l.lost || sent+ttl <= l.sent+l.ttl {
		return
	}
	l.sent, l.ttl = sent, ttl
	l.next = sent + ttl/6
}

// failed takes note of an attempt that was not answered.
func (l *lease) failed(now time.Duration) { l.next = now + l.ttl/12 }

// until is before when the registry keeps everything: it began to count later than the request was sent, and its clock
// may be a hundredth faster while this one is a hundredth slower.
func (l *lease) until() time.Duration { return l.sent + l.ttl*98/100 }

// loses is when the membership is lost unless a renewal is answered.
func (l *lease) loses() time.Duration { return l.until() - l.margin }

// expired reports whether the membership is lost. It stays so.
func (l *lease) expired(now time.Duration) bool {
	l.lost = l.lost || now >= l.loses()
	return l.lost
}

// patience is how long to wait for the answer of a renewal: several attempts fit into what is left, and none goes on beyond it.
func (l *lease) patience(now time.Duration) time.Duration {
	return max(0, min(l.ttl/5, l.loses()-now))
}
