package dialog

import (
	"context"
	"sync/atomic"
)

// leading is about an opener who waits for an answer while nobody else of its table does. It reads
// the link itself ([link.Link.TryLead]), which saves waking the link's reader, which would only
// wake the opener. The fields below sole belong to the opener that it names.
type leading struct {
	expecting atomic.Int32 // openers that wait for an answer

	sole  atomic.Pointer[Dialog] // the one that may lead; nil if there is none
	leads bool                   // it does
	ends  <-chan struct{}        // with which its wait ends; nil if with nothing
	hush  func() bool            // has the end of that rouse nobody any more; nil if there is nothing to undo
}

// expect counts the opener among those who wait for an answer, until answered. The only one may
// lead. The end of ctx then rouses it, which is prepared here: nobody who leads calls anything of a
// ctx that may be an author's. A nil ctx does not end.
func (d *Dialog) expect(ctx context.Context) {
	l := &d.table.leading
	if l.expecting.Add(1) > 1 || d.kind == Source || !d.table.link.Leads() || !l.sole.CompareAndSwap(nil, d) {
		return
	}
	if ctx != nil && ctx.Done() != nil {
		l.ends, l.hush = ctx.Done(), context.AfterFunc(ctx, d.table.link.RouseLeader)
	}
}

// answered undoes expect.
func (d *Dialog) answered() {
	l := &d.table.leading
	l.expecting.Add(-1)
	if l.sole.Load() != d {
		return
	}
	if l.hush != nil {
		l.hush()
	}
	l.ends, l.hush = nil, nil
	l.sole.Store(nil)
}

// ask sends what put puts, to which an answer is expected. An opener that may lead begins before
// that goes out, so that the peer wakes nobody else with its answer.
func (d *Dialog) ask(put func() error) (err error) {
	l := &d.table.leading
	d.table.link.Promptly(func() (yield bool) {
		err = put()
		leads := err == nil && l.sole.Load() == d && d.table.link.TryLead()
		if leads {
			l.leads = true
		}
		return !leads
	})
	return err
}

// lead reads the link if the opener leads, until ready reports true, or its wait ends, or nothing
// comes for a while. ready is a method and no closure, which would be allocated for each call that does not lead, too.
func (d *Dialog) lead(ready func(d *Dialog) bool) {
	l := &d.table.leading
	if l.sole.Load() != d || !l.leads {
		return
	}
	l.leads = false
	d.table.link.Lead(func() bool {
		select {
		case <-l.ends:
			return true
		default:
			return d.look(func() bool { return ready(d) })
		}
	})
}
