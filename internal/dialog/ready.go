package dialog

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A sender whose peer has not opened its end of the stream sends one message beyond its
// credit, the probe, and waits (M07). The receiver keeps it and is then in doubt. If this end
// is opened, the probe is a message like any other. If the task shows that it will not open
// it, or takes too long, the dialog fails with a StreamOverrun: that is decided in this file.
// docs/decisions/the-receiver-judges.md says why the sender cannot decide it.

// timers is how many timers a ready timeout is made of, one after the other. A process
// that the machine does not let run finds one of them late, and not the whole time gone.
const timers = 5

// doubt is called when a probe has come to an end that is not open. The caller, the link's
// reader, holds mu. What cannot be judged at once is watched by a goroutine of the table.
func (d *Dialog) doubt() {
	d.judgeProbe(false)
	if !d.judged() {
		d.table.doubts.Go(d.awaitReady) // false: the table is closed, and all has ended
	}
}

// judged reports whether there is nothing to judge: no probe waits, or the dialog ends anyway,
// because it has failed, was cancelled from here, or has its outcome. It then ends for that
// reason, which a StreamOverrun must not replace.
func (d *Dialog) judged() bool {
	return d.flows == nil || !d.in.doubted || d.cause != nil || d.asked || d.done
}

// judgeProbe fails the dialog if a probe waits for an end that will not be opened. over says
// that it is too late for that, as the time has passed or the task has ended; otherwise the
// task must have shown it. It is called with mu held, whenever something changes about that.
func (d *Dialog) judgeProbe(over bool) {
	if d.judged() || !over && !d.willNotOpen() {
		return
	}
	d.in.doubted, d.in.broken = false, true
	d.overrun()
}

// willNotOpen reports whether this side's task does nothing but wait for the callee to end, and
// no task of Go runs that could open the stream meanwhile. The callee in turn waits for its
// probe, so that without this the two would wait for each other until the timeout.
func (d *Dialog) willNotOpen() bool { return d.idle() && d.waiters > 0 }

// idle reports whether no task of Go runs.
func (d *Dialog) idle() bool {
	select {
	case <-d.tasks.Idle():
		return true
	default:
		return false
	}
}

// awaitReady gives the task the table's ready timeout to open its end, counted from when the
// task has begun: before that it had no chance to. The table owns its goroutine, which ends
// when there is nothing to judge any more, and at the latest when the timeout has passed or
// Lose has ended the dialog.
func (d *Dialog) awaitReady() {
	_ = d.await(context.Background(), func() bool { return d.running || d.judged() }) // that ctx never ends
	for range timers {
		limited, stop := context.WithTimeout(context.Background(), d.table.cfg.ReadyTimeout/timers)
		opened := d.await(limited, d.judged) == nil
		stop()
		if opened {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.judgeProbe(true)
}

// Wait returns the callee's value, or the failure that the context ended with. It
// may be called any number of times, from anywhere, and gives the same each time;
// a ctx that ends first gives its own cause and changes nothing.
func (d *Dialog) Wait(ctx context.Context) ([]byte, error) {
	d.waits(1)
	defer d.waits(-1)
	if err := d.await(ctx, func() bool { return d.done }); err != nil {
		return nil, err
	}
	return d.result()
}

// waits counts the calls of Wait. One that begins may be what shows that this side's task will
// not open the stream.
func (d *Dialog) waits(more int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiters += more
	d.judgeProbe(false)
}

// overrun fails the dialog: its peer has sent what this side has no room for.
func (d *Dialog) overrun() {
	d.table.counters.overruns.Add(1)
	d.apply(DoBreak, saying(&fault.StreamOverrun{
		Sender: d.Peer(), Receiver: d.Self(), Window: d.in.window.Messages, Opened: d.in.attached,
	}))
}
