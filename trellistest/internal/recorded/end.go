package recorded

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// ErrDiedAgain is what a link has ended with that was lost in the recording, too. A link that the
// player has cut itself, because the actor did not do what it should, has not ended so.
var ErrDiedAgain = errors.New("the actor has died, as in the recording")

// aborted is why the player has cut the link itself.
type aborted struct{ error }

func (a aborted) Unwrap() error { return a.error }

// abort cuts the link. It changes nothing if the link has ended already.
func (r *player) abort(format string, args ...any) {
	r.link.Abort(aborted{fmt.Errorf(format, args...)})
}

// ask asks the actor to end, as a host does. How far open streams come from now on is a matter of
// time, as after a cancel.
func (r *player) ask(canceller actor.ID, reason string) {
	args, err := cbor.Marshal(wire.CancelRequest{Canceller: canceller, Reason: reason, Grace: r.options.Patience})
	if err != nil {
		panic(err) // a type of our own
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.all {
		if !d.over() {
			d.hangUp()
		}
		d.crossed = d.calls && d.said.start == nil
	}
	r.closing, r.next = r.next, r.next+2
	r.link.Send(link.Data, &wire.Frame{Dialog: r.closing, Kind: wire.Kind_KIND_START, Payload: args, Start: &wire.Start{
		Endpoint: wire.CancelActor, Kind: wire.EndpointKind_ENDPOINT_KIND_FUNC, Codec: codecs.CBOR.Name(),
	}})
}

// end waits for what is still to come, and for the actor's end. If that was not asked to end in the
// recording, it is now. Calls that it waits for fail first. One that had ended by itself, at a signal,
// may have said its last words because of that without telling so; then they come only now.
func (r *player) end(byItself bool) error {
	byItself = byItself && r.closing == 0
	r.await(func(*recordedDialog) bool { return byItself })
	r.mu.Lock()
	r.played = true
	asked := r.closing != 0
	for id, d := range r.live {
		if d.calls && !d.answered {
			r.refuse(id, "the recording has ended")
		}
	}
	r.mu.Unlock()
	if !asked {
		r.ask(r.options.Self, "the recording has ended")
	}
	if byItself {
		r.await(nil)
	}
	if !r.until(func() int { return missing(r.closed) }) {
		r.abort("the actor has not ended its tasks %v after it was asked to", r.options.Patience)
	}
	select {
	case <-r.link.Done():
	case <-time.After(r.options.Patience):
		r.abort("the actor has not ended %v after its tasks", r.options.Patience)
		<-r.link.Done()
	}
	return r.link.Err()
}

// dismiss answers what the actor begins while it ends.
func (r *player) dismiss(f *wire.Frame) {
	if f.Kind == wire.Kind_KIND_START {
		r.refuse(f.Dialog, "the recording has ended")
	}
}
