package dialog

import (
	"context"
	"fmt"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Bounds of what a peer can make this side keep, besides those that Hello tells.
const (
	// What the runtime's own endpoints have beyond the peer's limits, in dialogs and in
	// bytes, so that an actor can be ended whose peer uses all of them.
	spareDialogs   = 64
	spareArguments = 1 << 20
	// mostAnswers is how many bytes of large answers may wait for their turn. It is as much
	// as the link keeps of small ones before it is cut (link's mostUnread); here only the
	// answer beyond it fails.
	mostAnswers = 256 << 20
)

// guests is what the peer has running here: a dialog counts from its Start until its ending is
// sent, also one that is refused. It belongs to the table, whose mu guards it.
type guests struct {
	dialogs int
	bytes   int // of their arguments and the other texts of their Starts
	answers int // bytes of answers that wait for their turn
}

// enter counts a dialog, and refuses it if there are too many. The bytes are compared before the
// new ones are added, so that arguments of any allowed size are taken by an idle actor.
func (g *guests) enter(l *link.Link, weight int, runtime bool) (refused error) {
	dialogs, bytes := l.MostDialogs()
	if runtime {
		dialogs, bytes = dialogs+spareDialogs, bytes+spareArguments
	}
	switch {
	case g.dialogs >= dialogs:
		refused = fmt.Errorf("%w: it runs %d dialogs for this caller, which is its limit", fault.ErrOverloaded, g.dialogs)
	case g.bytes >= bytes:
		refused = fmt.Errorf("%w: the dialogs that it runs for this caller have %d bytes of arguments; it takes another one below %d",
			fault.ErrOverloaded, g.bytes, bytes)
	}
	g.add(weight)
	return refused
}

func (g *guests) add(weight int) {
	g.dialogs++
	g.bytes += weight
}

// remove forgets a dialog that has been counted.
func (g *guests) remove(weight int) {
	g.dialogs--
	g.bytes -= weight
}

// weigh is about how many bytes a Start keeps in memory, with the arguments that it has
// announced. An announcement counts at once: otherwise many dialogs could be begun before the
// first arguments come. It is cut at 2^30, so that the sum cannot overflow.
func weigh(f *wire.Frame) int {
	s := f.Start
	bytes := len(f.Payload) + int(min(s.Arguments, mostRoom)) + len(s.Endpoint) + len(s.Codec) + len(s.Tracestate) +
		len(s.Target.GetPath()) + len(s.Opener.GetPath())
	for key, value := range s.Metadata {
		bytes += len(key) + len(value)
	}
	return bytes
}

func (d *Dialog) checkSize(n int) error {
	if limit := d.table.link.MaxMessage(); n > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", fault.ErrMessageTooLarge, n, limit)
	}
	return nil
}

// Drained wakes whoever waits for the link to be not congested any more. The link's writer calls
// it. Which lane has drained does not matter: whoever is woken asks again for its own.
func (t *Table) Drained() {
	t.mu.Lock()
	stalled := t.stalled
	t.stalled = nil
	t.mu.Unlock()
	for _, d := range stalled {
		d.wakeListed(&d.stalled)
	}
}

// congested reports whether much waits for the link's writer. If so, the dialog, whose mu the
// caller holds, is woken when that is over. The first look needs no lock and is enough nearly
// always. The second one, under the table's mu, closes the gap in which the writer could have
// called Drained after the first look and before the dialog was in the list.
func (t *Table) congested(d *Dialog, lane link.Lane) bool {
	if !t.link.Congested(lane) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.link.Congested(lane) {
		return false // else Drained is still to come, and finds the dialog in the list
	}
	if !d.stalled {
		d.stalled = true
		t.stalled = append(t.stalled, d)
	}
	return true
}

// mayBegin waits until the arguments are there and the peer reads its answers. The error is why the
// task must not begin. Its ctx ends a moment after the task was told to end, so mustEnd waits for that.
// When the link is lost, the dialogs learn it one after the other; a task that those before it have
// made room for asks itself.
func (d *Dialog) mayBegin() error {
	if d.awaitArguments() == nil && d.awaitAnswered() == nil {
		if lost := d.table.whyLost(); lost != nil {
			d.event(Lost, saying(lost))
		}
		d.mustEnd()
	}
	return context.Cause(d.ctx)
}

// awaitAnswered waits until the peer has read enough of the answers that it has asked for. So no
// task begins for a peer that asks and does not read, and at most those that had begun before
// have made answers which nobody takes. The runtime's own tasks never wait: ending an actor
// must not depend on its peer's reading.
func (d *Dialog) awaitAnswered() error {
	if d.runtime() || !d.table.link.Congested(link.Answer) {
		return nil
	}
	return d.await(d.ctx, func() bool { return !d.table.congested(d, link.Answer) })
}

// Enter waits until fewer than n tasks of this endpoint run for the peer, and the peer reads its
// answers. The task, which calls it first of all and once, then counts until its ending is sent: an
// answer that waits for its turn keeps its place, so that no others are made meanwhile. The error
// is why the task must not begin.
func (d *Dialog) Enter(n int) error {
	t := d.table
	t.mu.Lock()
	running := t.running[d.endpoint]
	if running == nil {
		running = make(chan struct{}, n)
		t.running[d.endpoint] = running
	}
	t.mu.Unlock()
	if len(running) == cap(running) {
		d.handOver()
		t.counters.queued.Add(1)
		defer t.counters.queued.Add(-1)
	}
	select {
	case running <- struct{}{}:
		d.place = running
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
	return d.mayBegin()
}

// makeRoom lets the next task enter, if this one has.
func (d *Dialog) makeRoom() {
	if d.place != nil {
		<-d.place
	}
}

// takeTurn waits until an answer may go, and lets no other large one go until
// leave is called. Large answers so enter the outbox one at a time, each only when the link is
// not congested; without the turn, all that wait would enter together when it drains. Small
// answers never wait. The error is why the answer must not go: it is too large, the task has been
// told to end, or too many bytes wait already.
func (d *Dialog) takeTurn(answer []byte) (leave func(), err error) {
	if err := d.checkSize(len(answer)); err != nil {
		return nil, err
	}
	if len(answer) <= smallPayload {
		return func() {}, nil
	}
	t, size := d.table, cap(answer) // what its memory has
	if err := t.hold(size); err != nil {
		return nil, err
	}
	leave = func() { t.release(size) }
	d.handOver()
	select {
	case t.turn <- struct{}{}:
	case <-d.ctx.Done():
		leave()
		return nil, context.Cause(d.ctx)
	}
	leave = func() { <-t.turn; t.release(size) }
	if err := d.awaitAnswered(); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// hold counts an answer that waits, and refuses it if there would be too much. One answer alone
// is always taken: its size has been checked against the peer's limit.
func (t *Table) hold(size int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.guests.answers > 0 && t.guests.answers+size > mostAnswers {
		return fmt.Errorf("%w: %d bytes of answers wait until its caller reads what it has asked for", fault.ErrOverloaded, t.guests.answers)
	}
	t.guests.answers += size
	return nil
}

func (t *Table) release(size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.guests.answers -= size
}
