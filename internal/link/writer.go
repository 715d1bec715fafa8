package link

import (
	"fmt"
	"runtime"
)

// write is the writer goroutine: it writes what nobody else does, and whatever has to wait for the
// peer. It never waits to fill a packet. It ends after the last batch or with the first error. The
// channel wake is never closed; closing the outbox signals it, and so does Abort.
func (l *Link) write() {
	for range l.out.wake {
		runtime.Gosched() // whoever runs now may have more to send, which then goes with it
		if !l.out.begin(true) {
			continue // whoever writes now signals again if anything is left
		}
		end, err := l.send(true)
		if err != nil {
			l.Abort(fmt.Errorf("send: %w", err))
			return
		}
		if end {
			break
		}
	}
	if err := l.transport.CloseSend(); err != nil {
		l.Abort(fmt.Errorf("close: %w", err))
	}
}

// Promptly runs put, which sends something, and writes it on the caller's goroutine if nobody else
// does: that saves waking the writer. The caller holds no lock.
func (l *Link) Promptly(put func() (yield bool)) {
	l.Cork()
	l.Uncork(put())
}

// Cork has the writer not woken for what is sent until Uncork, which follows each. It does nothing where all is the
// writer's.
func (l *Link) Cork() {
	if l.prompt != nil {
		l.out.corks.Add(1)
	}
}

// Uncork writes what was sent, with what else has come together, unless somebody does so already. First it may let others
// run, whose frames then go in the same packet; without that, a packet would be one frame.
func (l *Link) Uncork(yield bool) {
	if l.prompt == nil {
		return
	}
	l.out.corks.Add(-1)
	if !l.out.begin(false) {
		return
	}
	if yield {
		runtime.Gosched()
	}
	if _, err := l.send(false); err != nil {
		l.Abort(fmt.Errorf("send: %w", err))
	}
}

// send writes until nothing is queued; end is true after the last batch. Its caller has begun to
// write, and does not write any more when send returns. Those who wait for room are woken before
// a batch is written, so that they fill the outbox during the write.
//
// Only the writer may wait for the peer, and nobody else should write for others for long: what
// does not go at once, for whatever reason, and what comes after a full batch, is the writer's.
func (l *Link) send(writer bool) (end bool, err error) {
	b := &l.batch
	for total := 0; writer || total < batchBytes; b.release() {
		if b.frames == 0 {
			var mine bool
			if mine, end, err = l.out.take(b, writer); !mine {
				return end, err
			}
			l.sent.add(b.frames, b.payloads)
			if b.drained {
				l.receiver.Drained()
			}
		}
		sent := b.bytes
		switch {
		case writer:
			err = l.sendBatch(b)
		case b.aside > 0:
			sent = 0
		default:
			sent, err = l.prompt.SendNow(b.parts)
		}
		if err != nil || end {
			break
		}
		if total += sent; sent < b.bytes {
			b.advance(sent)
			break
		}
	}
	l.out.pass()
	return end, err
}

// sendBatch sends a batch, and waits for the peer if it must.
func (l *Link) sendBatch(b *batch) error {
	if b.aside > 0 {
		if err := l.aside.SendAside(b.parts[:b.aside]); err != nil {
			return err
		}
	}
	if b.aside == len(b.parts) {
		return nil
	}
	return l.transport.Send(b.parts[b.aside:])
}
