package dialog

import (
	"context"

	"github.com/seed-2ba35074/trellis/shared/fault"
)

// A message beyond the window that comes to an end which is not open is kept, and its
// sender waits (M07). If the end is opened, the message is one like any other. If the
// task shows that it will not open it, or takes too long, the dialog fails: here.

// timers is how many timers a ready timeout is made of, one after the other. A process
// that the machine does not let run finds one of them late, and not the whole time gone.
const timers = 5

// doubt is called when such a message has come.
func (d *Dialog) doubt() {
	d.judgeProbe(false)
	if !d.judged() {
		d.table.doubts.Go(d.awaitReady) // false: the table is closed, and all has ended
	}
}

// judged reports whether nothing waits for this end to be opened; or no more, for the
// dialog ends anyway.
func (d *Dialog) judged() bool {
	return !d.in.doubted || d.cause != nil || d.asked || d.done
}

// judgeProbe fails the dialog if a message waits for an end that is not opened any more. It
// is over for that, or the task has shown it.
func (d *Dialog) judgeProbe(over bool) {
	if d.judged() || !over && !d.willNotOpen() {
		return
	}
	d.in.doubted, d.in.broken = false, true
	d.overrun()
}

// willNotOpen reports whether this side's task does nothing but wait for the callee to
// end, and no task of Go runs that could open the stream meanwhile.
func (d *Dialog) willNotOpen() bool {
	select {
	case <-d.tasks.Idle():
		return d.waiters > 0
	default:
		return false
	}
}

// awaitReady gives the task as long as the table says, from when it has begun. The table
// owns its goroutine, which ends when the end is opened or the dialog has failed.
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

// waits counts the calls of Wait.
func (d *Dialog) waits(more int) {
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
