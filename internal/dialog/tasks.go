package dialog

import (
	"context"
	"runtime/pprof"
	"time"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Go runs f as a further task of this side. This side ends when all of them have;
// one that fails, panics or calls runtime.Goexit makes this side fail with it. When
// this side has ended, Go does nothing and reports false.
func (d *Dialog) Go(f func(ctx context.Context) error) bool {
	return d.tasks.Go(func() {
		panics.Attempt(func() error { return f(d.ctx) }, func(err error) {
			if err != nil {
				d.lapse(d.because(err))
			}
		})
	})
}

// lapse records the failure of a task of Go, and tells this side to end because of it. Only the
// first one is kept: what follows is most often the echo of being told to end. lapsed is set
// before the event, so that join sees it however fast the others end.
func (d *Dialog) lapse(n note) {
	d.mu.Lock()
	if d.lapsed == nil {
		d.lapsed = n.err
	}
	d.mu.Unlock()
	d.event(DoAbort, n)
}

// join waits for the tasks of Go; after a failure they are told to end. It gives what
// all of this side failed with: err, which the first task returned, unless another one
// failed by itself and err does not say so.
func (d *Dialog) join(failure note, err error) error {
	if failure.err != nil {
		d.event(DoAbort, failure)
	}
	if !d.idle() {
		d.handOver()
	}
	d.tasks.Finish()
	// No task writes lapsed any more.
	if d.lapsed == nil || d.endingOf(d.lapsed).Echo() || !d.endingOf(err).Echo() {
		return err
	}
	return d.lapsed
}

// Own takes the buffer that the task's value lies in, which is the link's when that is sent, and
// gives what the task is to return.
func (d *Dialog) Own(b *wire.Buffer) []byte {
	d.owner = b
	return b.Bytes()
}

// runTask runs a callee's task. Whoever waits for messages of this packet is woken before one that runs
// on this goroutine.
func (t *Table) runTask(d *Dialog) bool {
	switch {
	case d.runtime():
		return t.runtime.Go(func() { t.run(d) })
	case t.link.Led(): // by a caller, whose labels for profiles are for its own code
		return t.tasks.Go(func() {
			pprof.SetGoroutineLabels(d.outer)
			t.run(d)
		})
	case d.inPlace():
		t.PacketEnd()
		return t.tasks.Here(func() { t.link.RunInPlace((*guest)(d)) })
	}
	return t.tasks.Go(func() { t.run(d) })
}

// run is a callee's task from its first to its last act, or until it hibernates, in a goroutine of
// the table or on the link's reader. The order matters: the author's code begins only when its
// arguments are there and the peer reads its answers; further tasks have ended before the ending
// is sent; and the ctx is released last.
func (t *Table) run(d *Dialog) {
	asleep := false
	defer d.depart(&asleep)
	if err := d.mayBegin(); err != nil {
		d.finish(nil, err)
		return
	}
	asleep = d.serve()
}

// serve runs a callee's task, and ends the dialog unless the task hibernates.
func (d *Dialog) serve() (asleep bool) {
	began := time.Since(started)
	payload, err, asleep := d.perform(began)
	d.performed(payload, err, asleep, time.Since(started)-began)
	return asleep
}

// performed is what comes after a callee's task, or a part of it. It is apart, since what it needs of
// the stack would be kept below each task that waits: with 1.2 KiB in use that is 8 KiB instead of 4.
//
//go:noinline
func (d *Dialog) performed(payload []byte, err error, asleep bool, took time.Duration) {
	if d.pace != nil {
		d.pace.ended(took-time.Duration(d.sending.Swap(0))*time.Microsecond, false)
	}
	if asleep {
		return
	}
	failed := d.hasFailed(err)
	all := d.join(d.failed(err), err)
	d.count(took, failed || err == nil && all != nil)
	d.finish(payload, all)
}

// hasFailed reports whether a callee's task says more than what it was told.
func (d *Dialog) hasFailed(err error) bool {
	if err == nil {
		return false
	}
	e := d.endingOf(err)
	return e.Cause == nil || !e.Echo()
}

// count counts a callee's task that has ended.
func (d *Dialog) count(took time.Duration, failed bool) {
	if d.pace == nil {
		return
	}
	if d.member != nil {
		took = time.Since(started) - d.member.began
	}
	d.pace.took.Add(took)
	if failed {
		d.pace.failed.Add(1)
	}
}

// depart is deferred by the goroutine of a callee's task, which has ended then, or hibernates.
func (d *Dialog) depart(asleep *bool) {
	if *asleep {
		return
	}
	defer d.traced(nil)
	defer d.release()
	defer d.makeRoom()
	d.leave()
}

// leave ends the dialog of a task that neither returned nor panicked: it called runtime.Goexit, as
// a test does that fails. Otherwise all has ended already. It runs deferred; without it the peer
// would wait for an ending that never comes.
func (d *Dialog) leave() {
	if d.look(func() bool { return d.state.Phase != Over }) {
		n := saying(fault.ErrGoexit)
		_ = d.join(n, n.err) // it is told that one
		d.event(DoFail, n)
	}
}
