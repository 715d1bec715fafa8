package link

import (
	"errors"
	"fmt"
	"io"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// incoming is what the reader works with. It goes on to the next one when the reading is handed over,
// in the middle of a packet then. While there is a packet, the link is corked.
type incoming struct {
	turn   *Turn
	whole  assembler
	frames []*wire.Frame // of the packet, that have not been handled
	guests int           // of what has come at once
	single bool          // the last packet was one frame: most likely of somebody who waits for an answer and sends the next
	led    bool          // the leader handles them
	cut    bool          // the peer was cut off, and nothing more is read
}

// read is the reader goroutine, or one that takes its place. It never blocks but for the next packet:
// both ends promise to read always, which is what makes credit the only thing that a sender waits
// for. The last reader ends with the transport, or when the peer is cut off.
func (l *Link) read() {
	turn := l.newTurn()
	l.in.turn, l.in.guests = turn, mostGuests // the rest of a packet has waited enough
	defer turn.HandOver()                     // for a guest that has called runtime.Goexit; else none runs
	l.Uncork(false)                           // and so has what was sent
	l.Cork()
	for l.takeAll(turn) && l.hear() {
	}
	if turn.Holds() {
		close(l.next)
	}
}

// hear waits for the next packet, and reports false if none will come. What is sent while its
// frames are handled goes out behind the last of them.
func (l *Link) hear() bool {
	if a, ok := l.transport.(Ahead); !ok || !a.Ahead() {
		l.in.guests = 0
	}
	if l.leading != nil {
		l.leading.Idle(l.in.single)
		if l.in.cut {
			return false
		}
	}
	p, err := l.transport.Recv()
	if err != nil {
		l.endReading(err)
		return false
	}
	l.begin(p)
	return true
}

// begin makes a packet the one that is handled.
func (l *Link) begin(p *wire.Packet) {
	l.heard.addPacket(p)
	l.in.frames, l.in.single = p.Frames, len(p.Frames) == 1
	l.Cork()
}

// takeAll handles what is left of a packet. It reports false if the turn is over, or the peer was cut
// off.
func (l *Link) takeAll(turn *Turn) bool {
	cut := false
	for len(l.in.frames) > 0 && !cut {
		f := l.in.frames[0]
		l.in.frames = l.in.frames[1:]
		err := l.take(f)
		if !turn.Holds() {
			return false
		}
		cut = err != nil && !l.tolerate(err)
	}
	l.receiver.PacketEnd()
	l.Uncork(false)
	return !cut
}

// endReading sorts an orderly end from a loss. The end of the stream is in order only after the
// peer's Bye: a process that dies closes its connection as well.
func (l *Link) endReading(err error) {
	if orderly, _ := l.Farewell(); orderly {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	l.Abort(fmt.Errorf("receive: %w", err))
}

// take handles one frame as it comes from the transport. The first one must be Hello, which is
// checked before anything else of the peer is believed. Frames of dialog 0 are the link's own;
// kinds above the last one of this version are ignored there, as they are in dialogs.
func (l *Link) take(f *wire.Frame) error {
	whole, err := l.in.whole.whole(f)
	if err != nil || whole == nil {
		return err
	}
	switch {
	case l.peer.Load() == nil:
		return l.greet(whole)
	case whole.Kind == wire.Kind_KIND_BYE && whole.Dialog == 0:
		l.hearBye(whole)
		return nil
	case whole.Dialog == 0 && whole.Kind > wire.Kind_KIND_LOST:
		return nil // of a later version of the protocol
	case whole.Dialog == 0:
		return violation("%v on the link itself", whole.Kind)
	}
	return l.receiver.Frame(whole)
}

// fatal is a violation after which nothing that the peer says makes sense.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// greet takes the peer's Hello. A peer with another version of the protocol is refused at once,
// since no frame could be relied on to mean the same at both ends.
func (l *Link) greet(f *wire.Frame) error {
	h := f.Hello
	if f.Kind != wire.Kind_KIND_HELLO || f.Dialog != 0 || h == nil {
		return fatal{violation("the first frame was %v, it must be HELLO", f.Kind)}
	}
	if h.Version == 0 || h.MaxMessage == 0 || h.Self.GetUuid() == "" {
		return fatal{violation("HELLO without version, identity or message limit")}
	}
	if h.Version != wire.Version {
		return fatal{violation("%v speaks version %d of the link protocol, and %v expects version %d: build both programs with the same version of Trellis",
			h.Self.ToID(), h.Version, l.cfg.Self, wire.Version)}
	}
	if want := l.cfg.Peer; !want.IsZero() {
		if said := h.Self.ToID(); !said.Is(want) || said.Name != want.Name {
			return fatal{violation("it was told that it is %v, and says that it is %v", want, said)}
		}
		h.Self = wire.FromID(want) // with its pid, as the operating system knows it
	}
	l.peer.Store(h)
	close(l.greeted)
	return nil
}

// hearBye takes the peer's last frame, and answers with a Bye of our own behind what is still
// queued. If this side has said Bye already, the outbox is closed and the answer is dropped.
func (l *Link) hearBye(f *wire.Frame) {
	var reason error
	if f.Fault != nil {
		reason = fault.Unpack(f.Fault)
	}
	l.mu.Lock()
	l.byeIn, l.bye = true, reason
	l.mu.Unlock()
	l.Close(nil)
}

// tolerate logs a violation, and reports false after cutting off a peer that has gone too far.
// The Bye that says so goes out behind what is queued, and finish waits for it a while.
func (l *Link) tolerate(err error) bool {
	n := l.dropped.Add(1)
	l.cfg.Log.Warn("dropped a frame", "peer", l.Peer().String(), "violations", n, "reason", err)
	reason := fmt.Errorf("cut off after %d violations, the last one: %w", n, err)
	if _, once := errors.AsType[fatal](err); once {
		reason = fmt.Errorf("cut off: %w", err)
	} else if n < maxViolations {
		return true
	}
	l.fail(reason)
	l.Close(err)
	return false
}
