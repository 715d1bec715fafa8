package dialog

import (
	"context"
	"sync/atomic"
)

// leading is about an opener who waits for an answer while nobody else of its table does. It reads
// the link itself ([link.Link.TryLead]), which saves waking the link's reader, which would only
// wake the opener. What is below sole belongs to the opener that it names.
type leading struct {
	over      func() bool  // isOver, made once: each call would allocate it
	expecting atomic.Int32 // openers that wait for an answer

	sole  atomic.Pointer[Dialog] // the one that may lead; nil if there is none
	leads bool                   // it does
	ends  <-chan struct{}        // with which its wait ends; nil if with nothing
	ready func(d *Dialog) bool   // what it waits for
}

// expect counts the opener among those who wait for an answer, until answered. The only one may
// lead. Its ctx is asked here for what it ends with: nobody who leads calls anything of a ctx that
// may be an author's. A nil ctx does not end.
func (d *Dialog) expect(ctx context.Context) {
	l := &d.table.leading
	if l.expecting.Add(1) > 1 || d.kind == Source || !d.table.link.Leads() || !l.sole.CompareAndSwap(nil, d) {
		return
	}
	if ctx != nil {
		l.ends = ctx.Done()
	}
}

// answered undoes expect.
func (d *Dialog) answered() {
	l := &d.table.leading
	l.expecting.Add(-1)
	if l.sole.Load() == d {
		l.ends = nil
		l.sole.Store(nil)
	}
}

// ask sends what put puts, to which an answer is expected. An opener that may lead begins before
// that goes out, so that the peer wakes nobody else with its answer.
func (d *Dialog) ask(put func() error) (err error) {
	l := &d.table.leading
	d.table.link.Promptly(func() (yield bool) {
		if err = put(); err != nil || l.sole.Load() != d {
			return true
		}
		l.leads = d.table.link.TryLead()
		return !l.leads
	})
	return err
}

// lead reads the link if the opener leads, until ready reports true, which is asked with mu held, or
// its wait ends, or nothing comes for a while.
func (d *Dialog) lead(ready func(d *Dialog) bool) {
	l := &d.table.leading
	if l.sole.Load() == d && l.leads {
		l.leads, l.ready = false, ready
		d.table.link.Lead(l.over)
	}
}

// isOver reports whether the leader has nothing to wait for any more.
func (l *leading) isOver() bool {
	select {
	case <-l.ends:
		return true
	default:
	}
	d := l.sole.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	return l.ready(d)
}
