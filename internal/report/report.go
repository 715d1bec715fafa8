package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/tracing"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/internal/words"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// Bounds of what is told. What is told of an actor is cut by its host, so that a message that is
// larger is one that somebody else has made, and is refused.
const (
	maxMessage = 16 << 10 // bytes
	maxText    = 1 << 10  // of a reason, and of the name of an endpoint that is stuck
	maxFault   = 4 << 10  // of an error; a larger one goes as its text
	maxServed  = 5 << 10  // of the names of endpoints; further ones are left out
)

// window is what a host keeps of messages that have come and are not taken.
var window = dialog.Window{Messages: 64, Bytes: 64 << 10, Most: 64}

// Bounds of how many events, and how many records and spans, a host takes from one actor in a
// while. More wait, until the actor itself loses the oldest: that a host works for its own
// actors does not depend on what one of them tells.
const (
	mostInAWhile = 1000
	aWhile       = 100 * time.Millisecond
)

// message is one message of a stream: an event, a record, or how many were lost before the
// next one; or spans, and how many of those were lost before them.
type message struct {
	Event  *directory.Event  `json:"event,omitempty"`
	Record *telemetry.Record `json:"record,omitempty"`
	Spans  tracing.Batch     `json:"spans,omitzero"`
	// MissedSpans is Missed of spans.
	MissedSpans int `json:"missed_spans,omitempty"`
	// Fault is the event's error, as the protocol's Fault in protobuf.
	Fault  []byte `json:"fault,omitempty"`
	Missed int    `json:"missed,omitempty"`
	// Since is when the actor became ready, in the answer to a query.
	Since time.Time `json:"since,omitzero"`
}

// messageOf is what a loop gives, or that some of it was lost.
func messageOf(m message, err error) message {
	if lagged, ok := errors.AsType[*fault.Lagged](err); ok {
		return message{Missed: lagged.Missed}
	}
	return m
}

// Send tells the actor at the other end of t's link all events that r has, in order, until
// r ends or the link does. An actor that takes no events refuses that with
// fault.ErrNotExposed.
func Send(ctx context.Context, t *dialog.Table, r directory.Registry) error {
	return tell(ctx, t, wire.Events, func(ctx context.Context, send func(*message) error) error {
		for e, err := range r.Events(ctx) {
			m := messageOf(message{Event: &e}, err)
			if e.Actor.Is(t.Self()) || e.Actor.Is(t.Peer()) { // the other end would refuse it
				m = message{Missed: 1}
			} else if m.Event != nil {
				m.Event.Path = strings.TrimPrefix(e.Path, r.Path()+"/")
			}
			if err := send(&m); err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
}

// tell opens one of the streams on which an actor tells its host something, and has it sent;
// and all the others at the same time.
func tell(ctx context.Context, t *dialog.Table, endpoint string, all teller, others ...teller) error {
	d, err := t.Open(ctx, &dialog.Request{Endpoint: endpoint, Kind: dialog.Context, Codec: codecs.CBOR.Name()})
	if err != nil {
		return err
	}
	return d.Scope(func(ctx context.Context, d *dialog.Dialog) error {
		stream, err := d.OpenStream(dialog.StreamOptions{})
		if err != nil {
			return err
		}
		out := func(m *message) error { return send(ctx, d, stream, m) }
		for _, other := range others {
			d.Go(func(ctx context.Context) error { return other(ctx, out) })
		}
		return all(ctx, out)
	})
}

// teller sends messages until there are no more.
type teller func(ctx context.Context, send func(*message) error) error

// send sends a message. One event that cannot be told must not keep the next ones from being told.
func send(ctx context.Context, d *dialog.Dialog, to *dialog.Stream, m *message) error {
	b, err := encode(m, d.Self())
	if err != nil {
		b, err = encode(&message{Missed: 1}, d.Self())
	}
	if err != nil {
		return err
	}
	return to.SendBuffer(ctx, b)
}

// encode makes a message that is not too large.
func encode(m *message, self actor.ID) (*wire.Buffer, error) {
	if err := m.prepare(self); err != nil {
		return nil, err
	}
	b, err := marshal(m)
	if err == nil && b.Len() > maxMessage {
		err = fmt.Errorf("a message of %d bytes; the limit is %d", b.Len(), maxMessage)
		b.Free()
		b = nil
	}
	return b, err
}

// marshal is a value in CBOR, in memory that is given away. What is told has an end, since nothing of
// an author's is in it.
func marshal(v any) (*wire.Buffer, error) {
	b := wire.NewBuffer(0)
	if err := codecs.EncodeCBOR(b, v); err != nil {
		b.Free()
		return nil, err
	}
	return b, nil
}

// prepare cuts what is too large, and packs the error. It changes the event.
func (m *message) prepare(self actor.ID) (err error) {
	if e := m.Event; e != nil {
		e.Refused = words.Clip(e.Refused, maxText)
		e.Reason, e.Stuck, e.Endpoints = words.Clip(e.Reason, maxText), words.Clip(e.Stuck, maxText), cut(e.Endpoints)
		m.Fault, err = pack(e.Err, self)
	}
	return err
}

// pack packs an error, or its text if it is large.
func pack(err error, self actor.ID) ([]byte, error) {
	if err == nil {
		return nil, nil
	}
	packed, failed := proto.Marshal(fault.Pack(err, self))
	if failed == nil && len(packed) > maxFault {
		return proto.Marshal(fault.Pack(errors.New(words.Clip(fault.Line(err), maxText)), self))
	}
	return packed, failed
}

// cut gives as many endpoints as there is room for.
func cut(all []directory.Endpoint) []directory.Endpoint {
	const perEndpoint = 32 // beside its name
	room := maxServed
	for i, e := range all {
		if room -= len(e.Name) + perEndpoint; room < 0 {
			return all[:i]
		}
	}
	return all
}

// Receive takes what the actor tells that m is for, and passes it on, until the dialog ends.
// Whatever ends it, all below the actor is closed then: nothing more is heard of it. An actor
// whose messages cannot be read is not listened to any more; nothing else happens to it. An event
// that breaks a limit is dropped and counted as lost: it may be what another actor, further down,
// has said, and the one that passes it on cannot know all that is known here.
func Receive(ctx context.Context, d *dialog.Dialog, m directory.Membership) error {
	err := receive(ctx, d, func(told *message) { pass(told, d.Self(), m) })
	reason := "its host tells no more of it"
	if err != nil {
		reason = "its host is lost: " + fault.Line(err)
	}
	m.Close(reason, err)
	return err
}

// receive has each message taken that an actor tells, at a pace. Its error is that of the
// dialog, or of a message that cannot be read.
func receive(ctx context.Context, d *dialog.Dialog, take func(m *message)) error {
	d.Receive(window, &dialog.StreamOptions{})
	if err := d.Started(nil); err != nil {
		return err
	}
	stream, err := d.OpenStream(dialog.StreamOptions{})
	if err != nil {
		return err
	}
	for begun, n := time.Now(), 1; ; n++ {
		payload, err := stream.Recv(ctx)
		switch {
		case err == io.EOF: //nolint:errorlint // a failure may wrap one
			return nil
		case err != nil:
			return err
		}
		m, err := decode(payload)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", fault.ErrProtocol, d.Request().Endpoint, err)
		}
		take(&m)
		if n += max(0, m.Spans.Len()-1); n >= mostInAWhile {
			task.ClosedWithin(ctx.Done(), time.Until(begun.Add(aWhile))) // if it is, the link is lost: what has come is all that comes
			begun, n = time.Now(), 0
		}
	}
}

// decode reads a message. Its error is that of a message that is not of the form.
func decode(payload []byte) (m message, err error) {
	if len(payload) > maxMessage {
		return m, fmt.Errorf("a message of %d bytes; the limit is %d", len(payload), maxMessage)
	}
	if err := codecs.CBOR.Unmarshal(payload, &m); err != nil {
		return m, err
	}
	return m, m.unpack()
}

// unpack gives the event its error, and looks at the spans.
func (m *message) unpack() error {
	if err := m.Spans.Check(); err != nil {
		return err
	}
	if m.Event == nil || len(m.Fault) == 0 {
		return nil
	}
	var f wire.Fault
	if err := proto.Unmarshal(m.Fault, &f); err != nil {
		return err
	}
	m.Event.Err = fault.Unpack(&f)
	return nil
}

// pass passes on what an actor tells of those that it hosts.
func pass(m *message, self actor.ID, to directory.Membership) {
	if m.Missed > 0 {
		to.Publish(directory.Event{Missed: m.Missed})
	}
	if m.Event == nil {
		return
	}
	if m.Event.Actor.Is(self) || to.Pass(*m.Event) != nil {
		to.Publish(directory.Event{Missed: 1})
	}
}
