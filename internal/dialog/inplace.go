package dialog

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/histogram"
	"github.com/seed-2ba35074/trellis/internal/link"
)

// A Func or a Context whose calls are known to be fast runs on the link's
// reader itself. That saves the start of a goroutine and the switches to it
// and back, which cost more than such a call. Nobody waits for it if it turns
// out to be slow: the link has somebody else read then (link.Turn), and the
// calls that come after it have goroutines of their own again.

const (
	// DefaultTrials is how many calls must have been fast in goroutines of
	// their own.
	DefaultTrials = 32
	// fast is how long a call may take that is run in place. It is several
	// times what a goroutine costs, and so little that the calls of a whole
	// packet delay nobody.
	fast = 20 * time.Microsecond
	// mercy is how many fast calls make up for one that was not, since on a
	// busy machine any call may be interrupted.
	mercy = 32
	// penance is for how many calls an endpoint is not tried that has held up
	// its reader.
	penance = 1000
)

// pace is how fast the calls of an endpoint are: how many of them must be fast
// before others run in place. It falls by one with each that is, down to where
// two others are forgiven. It belongs to the table, and counts what has ended
// for whoever looks (Table.Load).
type pace struct {
	never  bool // runs in place
	left   atomic.Int32
	took   histogram.Histogram
	failed atomic.Uint64
}

// ended counts a call.
func (p *pace) ended(took time.Duration, held bool) {
	if p.never {
		return
	}
	for left := p.left.Load(); !p.left.CompareAndSwap(left, paced(left, took, held)); left = p.left.Load() {
	}
}

// paced is a pace after one more call, a pure function. held says that it has
// held up the reader.
func paced(left int32, took time.Duration, held bool) int32 {
	switch {
	case held:
		return penance
	case took < fast:
		return max(left-1, -2*mercy)
	}
	return min(left+mercy, penance)
}

// paceOf is the pace of the endpoint that a dialog is of, nil if it is the
// runtime's own. Names are those of endpoints that were found, so there are
// not many. Only the link's reader calls it, which alone changes the map, and
// so reads it without the lock.
func (t *Table) paceOf(d *Dialog) *pace {
	if d.runtime() {
		return nil
	}
	p := t.paces[d.endpoint]
	if p == nil {
		p = &pace{never: d.kind == Source || t.cfg.Trials == 0}
		p.left.Store(int32(t.cfg.Trials))
		t.mu.Lock()
		t.paces[d.endpoint] = p
		t.mu.Unlock()
	}
	return p
}

// inPlace reports whether a dialog that begins runs on the reader: if it is
// known to be fast, and has nothing to wait for.
func (d *Dialog) inPlace() bool {
	return d.pace != nil && !d.pace.never && d.pace.left.Load() <= 0 && d.complete && d.table.link.MayRunInPlace() && !d.table.link.Congested(link.Answer)
}

// guest is a callee's dialog whose task runs on the link's reader.
type guest Dialog

// Run implements link.Guest.
func (g *guest) Run(t *link.Turn) {
	d := (*Dialog)(g)
	d.turn.Store(t)
	d.table.run(d)
	d.turn.Store(nil)
}

// HandedOver implements link.Guest. The calls that come next must not do the
// same, even while this one has not ended.
func (g *guest) HandedOver() { g.pace.ended(0, true) }

// handOver lets somebody else read, if the task of this side runs on the
// link's reader.
func (d *Dialog) handOver() {
	if t := d.turn.Load(); t != nil {
		t.HandOver()
	}
}

// promptly sends what answer puts. On the reader, whoever reads next writes
// it, with what else is sent for the same packet.
func (d *Dialog) promptly(answer func()) {
	if t := d.turn.Load(); t != nil && t.Holds() {
		answer()
		return
	}
	d.table.link.Promptly(func() (yield bool) {
		answer()
		return true
	})
}

// taskKey is where a task's ctx, and whatever derives from it, has the task's
// dialog. The nearest one is found: the task of one further up runs on another
// goroutine, or waits for this one and has handed over by then.
type taskKey struct{}

// aboutToWait is called by whatever may wait in this package, with the ctx of
// its caller. If that is of a task on the reader of some link, somebody else
// reads from now on.
func aboutToWait(ctx context.Context) {
	if d, ok := ctx.Value(taskKey{}).(*Dialog); ok {
		d.handOver()
	}
}
