package recorded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Options say how a recording is played.
type Options struct {
	Self actor.ID // the host
	// Patience is how long the actor may say nothing while something is waited for.
	Patience time.Duration
	Ignore   Ignored
	// Fingerprint gives that of the types of an endpoint, 0 if it is not known. The recording's
	// own is not sent, so that payloads can be compared whose types differ. May be nil.
	Fingerprint func(endpoint string) uint64
	// Greeted, if not nil, is called when both have said HELLO: it waits until the actor is ready.
	Greeted func()
}

// Play plays the host's part of what was said with one process, and says in what the actor's part
// was another one this time. An error is of the link: it could not be opened, or the actor has not
// ended in order.
func (p *Process) Play(ctx context.Context, t link.Transport, o Options) ([]Difference, error) {
	all, byID := gather(p.Lines)
	r := &player{
		options: o, link: link.New(t, link.Config{Self: o.Self}), names: names{}, all: all,
		live: map[uint64]*recordedDialog{}, next: 2, news: make(chan struct{}),
	}
	r.link.Start(r)
	stop := context.AfterFunc(ctx, func() { r.abort("the replay was given up: %w", context.Cause(ctx)) })
	defer stop()
	select {
	case <-r.link.Greeted():
	case <-r.link.Done():
	case <-time.After(o.Patience):
		r.abort("it has not said HELLO within %v", o.Patience)
	}
	if r.link.Peer().IsZero() {
		<-r.link.Done()
		return nil, fmt.Errorf("the actor has not opened its link: %w", r.link.Err())
	}
	if o.Greeted != nil {
		o.Greeted()
	}
	r.meet(p.Lines)
	r.play(p, byID)
	err := r.end(p.endedItself())
	if _, ours := errors.AsType[aborted](err); err != nil && !ours && p.died() {
		err = fmt.Errorf("%w: %w", ErrDiedAgain, err)
	}
	return r.differences(), err
}

// player plays the host. Play's goroutine is its owner, and the link's reader calls Frame. mu
// guards what is below it, and the dialogs. It has ended when the link is Done.
type player struct {
	options Options
	link    *link.Link

	mu      sync.Mutex
	names   names
	all     []*recordedDialog
	live    map[uint64]*recordedDialog // by their ids this time
	found   []Difference
	next    uint64 // id
	closing uint64 // the dialog in which the actor was asked to end; 0 before that
	closed  bool   // it has answered
	played  bool   // the script is at its end: calls that come now were not recorded
	news    chan struct{}
}

// meet learns who is who this time.
func (r *player) meet(lines []Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range lines {
		if l.Frame == nil || l.Frame.Hello == nil {
			continue
		}
		now := r.link.Peer()
		if l.Sent {
			now = r.options.Self
		}
		r.names.learn(l.Frame.Hello.Self.GetUuid(), now.UUID)
	}
}

// play goes through the script, up to where the actor hears nothing any more.
func (r *player) play(p *Process, byID map[uint64]*recordedDialog) {
	for _, l := range p.Lines {
		if l.says(wire.Kind_KIND_BYE) {
			return
		}
		d := byID[l.Frame.GetDialog()]
		request, asked := l.asksToEnd()
		reason, wished := l.ownWish()
		switch {
		case r.closing != 0: // both can have wished for the end
		case asked: // an error may have crossed the request, and have come of a signal
			r.await(func(d *recordedDialog) bool { return d.said.ending.GetKind() == wire.Kind_KIND_ERROR })
			r.ask(r.options.Self, request.Reason)
		case wished && p.saysBye() && d != nil && d.said.cancel == nil:
			r.await(nil)
			r.ask(r.link.Peer(), reason)
		}
		if d != nil {
			r.line(d, l)
		}
	}
}

// line does what a line of the recording says: what the actor has said is awaited before the host
// says more.
func (r *player) line(d *recordedDialog, l Line) {
	if !l.Sent {
		r.mu.Lock()
		defer r.mu.Unlock()
		d.said.add(l.Frame)
		return
	}
	r.await(nil)
	if l.Frame.Kind == wire.Kind_KIND_CREDIT {
		return // it is given as messages come
	}
	needsRoom := l.Frame.Kind == wire.Kind_KIND_YIELD && !l.Frame.Probe
	if needsRoom {
		r.until(func() int { return missing(d.over() || d.room.takes() || d.id == 0) })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if needsRoom && d.id != 0 && !d.ended() && !d.room.takes() {
		r.hold(d, l)
		return
	}
	r.say(d, l.Frame)
}

// hold keeps back a message for which the actor has given no credit, and no more is waited for in
// its dialog. The actor would count it as a violation, and end the link for too many of them. The
// caller holds mu.
func (r *player) hold(d *recordedDialog, l Line) {
	if !d.held {
		r.found = append(r.found, Difference{Line: l.Number, Dialog: d.name(), Path: fmt.Sprintf("command[%d]", d.sent), Recorded: "it was taken", Came: "there is no credit for it"})
	}
	d.held, d.missed.ending = true, true
}

// copy is a frame to be sent. Failures, and who has asked for an end, name those of this time. The
// caller holds mu.
func (r *player) copy(f *wire.Frame) *wire.Frame {
	if f.Fault == nil && f.Cancel == nil {
		return proto.CloneOf(f)
	}
	for _, d := range r.all {
		r.names.learnFault(d.said.fail, d.came.fail)
		r.names.learnFault(d.said.ending, d.came.ending)
	}
	return r.names.translate(f)
}

// say sends a frame of a dialog, unless nobody is there to hear it. The caller holds mu.
func (r *player) say(d *recordedDialog, f *wire.Frame) {
	f = r.copy(f)
	if f.Kind == wire.Kind_KIND_START {
		r.begin(d, f)
	}
	if d.id == 0 || d.ended() {
		return
	}
	f.Dialog = d.id
	opens := f.Kind == wire.Kind_KIND_ATTACH || f.Attached || f.GetStart().GetAttached() || d.start.Start.Kind == wire.EndpointKind_ENDPOINT_KIND_SOURCE
	if f.Kind == wire.Kind_KIND_YIELD && d.room.nobody {
		return
	}
	d.saying(f)
	r.link.Send(link.Data, f) // of one lane: the order is the recording's
	if opens && !d.reading && d.cut < 0 {
		d.reading = true
		r.credit(d, d.came.messages...)
	}
}

// saying counts what a frame that is about to be sent means for its dialog, and puts this time's
// counts into it.
func (d *recordedDialog) saying(f *wire.Frame) {
	switch f.Kind {
	case wire.Kind_KIND_YIELD:
		f.Probe = f.Probe && !d.room.takes()
		d.sent++
		d.room.messages, d.room.bytes = d.room.messages-1, d.room.bytes-int64(len(f.Payload))
	case wire.Kind_KIND_RETURN, wire.Kind_KIND_ERROR:
		d.answered = true
		f.Yields = min(f.Yields, d.sent)
	case wire.Kind_KIND_FAIL:
		f.Yields = min(f.Yields, d.sent)
		d.hangUp()
	case wire.Kind_KIND_CANCEL:
		d.hangUp()
	case wire.Kind_KIND_STOP:
		if f.Deaf {
			d.reading = false
			d.hangUp()
		}
	}
}

// hangUp notes that what comes from now on has crossed the host's wish that nothing more comes.
func (d *recordedDialog) hangUp() {
	if d.cut < 0 {
		d.cut = len(d.said.messages)
	}
}

// begin makes the START of a dialog that the host opens. A deadline is left out unless it was what
// ended the dialog: how fast this machine is must not matter.
func (r *player) begin(d *recordedDialog, f *wire.Frame) {
	d.id, r.next = r.next, r.next+2
	r.live[d.id] = d
	if !d.timed {
		f.Start.Timeout = 0
	}
	was := f.Start.Fingerprint
	f.Start.Fingerprint = 0
	if r.options.Fingerprint == nil || was == 0 {
		return
	}
	if is := r.options.Fingerprint(f.Start.Endpoint); is != 0 && is != was {
		r.found = append(r.found, Difference{
			Line: d.line, Dialog: d.name(), Path: "types", Recorded: "those of the recording's host",
			Came: "others: hosts have to be built with them, too",
		})
	}
}

// credit gives the actor room for messages that have come.
func (r *player) credit(d *recordedDialog, messages ...[]byte) {
	if len(messages) == 0 || d.came.stopped || d.came.ending != nil {
		return
	}
	w := &wire.Window{Messages: uint32(len(messages))}
	for _, m := range messages {
		w.Bytes += uint64(len(m))
	}
	r.link.Send(link.Data, &wire.Frame{Dialog: d.id, Kind: wire.Kind_KIND_CREDIT, Credit: w})
}

// Frame takes what the actor says: [link.Receiver].
func (r *player) Frame(f *wire.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f = proto.CloneOf(f)
	d := r.live[f.Dialog]
	switch {
	case f.Dialog == r.closing && f.Kind == wire.Kind_KIND_RETURN:
		r.closed = true
	case r.played && d == nil:
		r.dismiss(f)
	case r.closing != 0 && d != nil && d.missed.ending: // it comes because of the request
	case f.Kind == wire.Kind_KIND_START && f.Start != nil:
		d = &recordedDialog{calls: true, id: f.Dialog, start: f, cut: -1}
		r.live[f.Dialog] = d
		fallthrough
	case d != nil:
		r.hear(d, f)
	}
	close(r.news)
	r.news = make(chan struct{})
	return nil
}

// PacketEnd and Drained have nothing to do.
func (r *player) PacketEnd() {}

// Drained has nothing to do either: a script waits for itself.
func (r *player) Drained() {}

func (r *player) hear(d *recordedDialog, f *wire.Frame) {
	d.came.add(f)
	d.room.hear(f)
	if f.Kind == wire.Kind_KIND_YIELD && d.reading {
		r.credit(d, f.Payload)
	}
	if d.calls && d.line == 0 && d.came.opened() {
		r.match(d)
	}
}

// match finds the call of the recording that a call is: the first that has the same arguments, else
// the first that has not come yet. A call too many fails.
func (r *player) match(d *recordedDialog) {
	var is *recordedDialog
	for _, known := range r.all {
		if !known.calls || known.id != 0 || known.start.Start.Endpoint != d.start.Start.Endpoint || known.start.Start.Kind != d.start.Start.Kind {
			continue
		}
		c := comparison{ignore: r.options.Ignore, of: known}
		if c.payloads("arguments", known.args, d.came.args); len(c.found) == 0 {
			is = known
			break
		}
		if is == nil {
			is = known
		}
	}
	if is != nil {
		is.id, is.came, is.room = d.id, d.came, d.room
		r.live[d.id] = is
		// A Func that comes before its turn is answered at once: its order has changed, and the
		// script would wait for what it holds up itself.
		for _, f := range is.answers {
			if is.said.start == nil && is.start.Start.Kind == wire.EndpointKind_ENDPOINT_KIND_FUNC {
				r.say(is, f)
			}
		}
		return
	}
	if r.closing == 0 { // else it may have crossed the request
		r.found = append(r.found, Difference{Dialog: d.name(), Path: "arguments", Recorded: absent, Came: d.text(d.came.args)})
	}
	r.refuse(d.id, fmt.Sprintf("the recording has no such call of %q, or no more of them", d.start.Start.Endpoint))
	delete(r.live, d.id)
}

// refuse ends a call of the actor.
func (r *player) refuse(id uint64, why string) {
	r.link.Send(link.Data, &wire.Frame{Dialog: id, Kind: wire.Kind_KIND_ERROR, Fault: &wire.Fault{Nodes: []*wire.Node{{
		Id: uuid.NewString(), Type: "recorded.Refusal", Message: why, Origin: wire.FromID(r.options.Self),
	}}}})
}

// until waits until nothing is left to come, which left counts under the lock. It reports false if
// for too long nothing has come of that, whatever else the actor says meanwhile, or if the actor is
// gone.
func (r *player) until(left func() int) bool {
	least := math.MaxInt
	var patience <-chan time.Time
	for {
		r.mu.Lock()
		n, news := left(), r.news
		bound := r.options.Patience + r.deadline()
		r.mu.Unlock()
		if n == 0 {
			return true
		}
		if n < least {
			least, patience = n, time.After(bound)
		}
		select {
		case <-news:
		case <-r.link.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			return left() == 0
		case <-patience:
			return false
		}
	}
}

// missing is the count of one thing that has come, or not.
func missing(come bool) int {
	if come {
		return 0
	}
	return 1
}

// deadline is the longest that a dialog still has which ended with its deadline: until then it is
// right to say nothing. The caller holds mu.
func (r *player) deadline() (longest time.Duration) {
	for _, d := range r.all {
		if d.timed && d.id != 0 && !d.over() {
			longest = max(longest, time.Duration(d.start.Start.Timeout))
		}
	}
	return longest
}

// await waits until all has come that had come in the recording. What does not come is not waited
// for again, unless its dialog is spared; spared may be nil.
func (r *player) await(spared func(d *recordedDialog) bool) {
	if r.until(r.due) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.all {
		if spared == nil || !spared(d) {
			d.miss()
		}
	}
}

// due is how much has not come of what had come when the script was where it is.
func (r *player) due() (n int) {
	for _, d := range r.all {
		n += d.behind().count()
	}
	return n
}

// differences are all that were found, in the order of the recording.
func (r *player) differences() []Difference {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.options.Ignore.filter(r.found)
	for _, d := range r.all {
		c := comparison{ignore: r.options.Ignore, of: d}
		c.dialog()
		all = append(all, c.found...)
	}
	return sorted(all)
}
