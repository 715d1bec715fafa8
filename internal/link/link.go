package link

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Defaults of a link.
const (
	DefaultMaxMessage = 64 << 20 // bytes of one payload
	// What a peer may have running here: dialogs, and the bytes of their arguments
	// below which another one is taken.
	DefaultMaxDialogs   = 4096
	DefaultMaxArguments = 64 << 20
	// maxViolations in the life of a link, and the peer is cut off. Below that a frame is only
	// dropped and logged, so that one mistake does not cost all dialogs.
	maxViolations = 32
	// lastWords is how long a peer that is cut off may take to read why.
	lastWords = time.Second
)

// Transport carries packets, in order, both ways. It belongs to its [Link]. Send and Recv are
// called by one goroutine at a time each, which may be another one each time; CloseSend after the last Send; Abort, from anywhere and more
// than once, makes all of them return soon and lets go of the connection. What Send was given
// is the caller's again when it returns.
type Transport interface {
	Send(wire.Batch) error
	Recv() (*wire.Packet, error) // io.EOF after the peer's CloseSend
	CloseSend() error
	Abort()
}

// Prompt is a [Transport] that can send without waiting, on the path of every call. SendNow is called
// like Send, and never beside it, but from any goroutine: the reader between two Recvs, and whoever
// sends. It waits neither for the peer nor for anybody who may wait for it, and gives how many bytes
// have gone. The rest comes again with the next Send or SendNow, cut at that very byte.
type Prompt interface {
	Transport
	SendNow(wire.Batch) (sent int, err error)
}

// Ahead is a Transport that takes more from its connection at once than it gives with one Recv. It
// is called between two of those.
type Ahead interface {
	Transport
	// Ahead reports whether what the next Recv gives has come with what the last one gave.
	Ahead() bool
}

// Aside is a Transport with a way beside the one for data, for the few frames that end things.
type Aside interface {
	Transport
	// SendAside sends a packet as Send does, and the peer gets it in the same order. It waits
	// only for other packets that went this way.
	SendAside(b wire.Batch) error
}

// Receiver takes the frames that come in. It is called by the link's reader and must not block:
// while it does, no cancel and no credit of any dialog on the link is heard. Frame may call
// RunInPlace for what might.
type Receiver interface {
	// Frame takes one frame, which is valid until PacketEnd; its payload and the messages
	// inside it stay. An error is a violation by the peer: the frame is dropped, and a peer
	// that goes on is cut off.
	Frame(f *wire.Frame) error
	// PacketEnd comes after the last of some frames that have come together.
	PacketEnd()
	// Drained comes, from whoever writes, when a lane is not Congested any more.
	Drained()
}

// Config describes one end of a link. Zero fields mean the defaults.
type Config struct {
	Self actor.ID
	// Peer is who the other end is, if that is known; it must say the same of itself.
	Peer actor.ID
	// Dialled is true at the end that opened the connection; its dialogs are odd.
	Dialled bool
	// What this end tells its peer with its Hello. The last two are the Receiver's to
	// enforce.
	MaxMessage, MaxDialogs, MaxArguments int
	Log                                  *slog.Logger
}

// Link is one end of a connection. It owns two goroutines, its reader and its writer, and a
// third that waits for both, from Start until Done is closed. The reader may be another goroutine
// after a guest (RunInPlace), which the third starts; the one before is then its receiver's. mu guards err, bye and byeIn: how
// the link ended. What waits to be sent has a lock of its own, in the outbox; receiver, writer
// and reader are set once, by Start. A link ends when both sides have said Bye (Close), or when
// it is cut (Abort, a broken connection, a peer that breaks the protocol). Send, Close, Abort,
// Peer and Done may be called at any time from anywhere.
type Link struct {
	cfg       Config
	transport Transport
	prompt    Prompt  // the transport; nil if it cannot
	aside     Aside   // the transport; nil if it cannot
	leading   Leading // the transport; nil if it cannot
	out       *outbox
	batch     batch // of whoever writes
	receiver  Receiver

	greeted chan struct{}              // the peer's Hello is in
	peer    atomic.Pointer[wire.Hello] // what it has said of itself; nil before that
	writer  *task.Worker
	done    chan struct{}

	in   incoming
	next chan struct{} // cap 1: another goroutine is to read; closed when the last reader has ended

	mu      sync.Mutex
	err     error        // why it ended, if not in order
	bye     error        // what the peer said last
	byeIn   bool         // the peer has said Bye
	dropped atomic.Int64 // violations by the peer so far

	sent, heard traffic
}

// New makes an end of a link; Start sets it going.
func New(t Transport, cfg Config) *Link {
	cfg.MaxMessage = cmp.Or(cfg.MaxMessage, DefaultMaxMessage)
	cfg.MaxDialogs = cmp.Or(cfg.MaxDialogs, DefaultMaxDialogs)
	cfg.MaxArguments = cmp.Or(cfg.MaxArguments, DefaultMaxArguments)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	now, _ := t.(Prompt)
	aside, _ := t.(Aside)
	leading, _ := t.(Leading)
	return &Link{
		cfg: cfg, transport: t, prompt: now, aside: aside, leading: leading, out: newOutbox(aside != nil), in: incoming{whole: assembler{limit: cfg.MaxMessage}},
		greeted: make(chan struct{}), next: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// Start begins to read and write. Frames go to r from now on. Hello is queued before the writer
// exists, so nothing can go out before it, whoever else sends.
func (l *Link) Start(r Receiver) {
	l.receiver = r
	l.Send(Control, &wire.Frame{Kind: wire.Kind_KIND_HELLO, Hello: &wire.Hello{
		Version: wire.Version, Self: wire.FromID(l.cfg.Self), MaxMessage: uint64(l.cfg.MaxMessage),
		MaxDialogs: uint32(l.cfg.MaxDialogs), MaxArguments: uint64(l.cfg.MaxArguments),
	}})
	l.Cork() // as if for a first packet, without frames
	l.writer = task.Start(l.write)
	task.Start(l.read)   // waited for by finish
	task.Start(l.finish) // waited for by Done
}

// finish starts whoever reads next, waits for both goroutines and lets go of the transport. A guest does
// not start its successor itself: a goroutine inherits its starter's labels for profiles, and those of
// an author's code are for that code alone.
//
// The reader ends first: with the connection, or when it gives up on the peer. In that case the writer
// still has a Bye to send, which says why. The end that has dialled leaves it to the peer to close the
// connection when it has read that: gRPC would drop what a client sends just before it cancels. A peer
// that does neither would hold this up for ever, so it gets only lastWords.
func (l *Link) finish() {
	for range l.next {
		task.Start(l.read)
	}
	if l.dropped.Load() > 0 && l.Err() != nil {
		cut := time.AfterFunc(lastWords, l.transport.Abort)
		l.writer.Wait()
		for err := error(nil); err == nil && l.cfg.Dialled; _, err = l.transport.Recv() {
		}
		cut.Stop()
	}
	l.writer.Wait()
	l.transport.Abort()
	close(l.done)
}

// Send queues a frame for the peer and returns at once. It reports false, and
// drops the frame, once the link is closing. f is the caller's again; its payload is
// if it has at most Copied bytes.
func (l *Link) Send(lane Lane, f *wire.Frame) bool { return l.SendOwned(lane, f, nil) }

// SendOwned is Send of a frame whose payload lies in a buffer, which belongs to the link if that
// takes the frame. A frame that cannot be encoded ends the link: dropping it without a word
// would leave the two ends with different ideas of its dialog.
func (l *Link) SendOwned(lane Lane, f *wire.Frame, owner *wire.Buffer) bool {
	ok, err := l.out.put(lane, f, owner)
	if err != nil {
		l.Abort(fmt.Errorf("send: %w", err))
	}
	return ok
}

// Congested reports whether much waits in a lane (Control counts as Answer), so that whoever
// can wait has to, until the Receiver hears Drained.
func (l *Link) Congested(lane Lane) bool { return l.out.loads[lane.account()].congested.Load() }

// MaxMessage is the largest payload, in bytes, that both ends accept. Before the peer's Hello
// only this end's limit is known.
func (l *Link) MaxMessage() int {
	if h := l.peer.Load(); h != nil && h.MaxMessage < uint64(l.cfg.MaxMessage) {
		return int(h.MaxMessage)
	}
	return l.cfg.MaxMessage
}

// MostDialogs is what this end has told its peer: how many dialogs it runs for it at once, and
// below how many bytes of their arguments it takes another one.
func (l *Link) MostDialogs() (dialogs, arguments int) { return l.cfg.MaxDialogs, l.cfg.MaxArguments }

// Dialled reports whether this end opened the connection.
func (l *Link) Dialled() bool { return l.cfg.Dialled }

// Self is the actor at this end.
func (l *Link) Self() actor.ID { return l.cfg.Self }

// Greeted is closed when the peer has introduced itself.
func (l *Link) Greeted() <-chan struct{} { return l.greeted }

// Peer is the actor at the other end, the zero ID before Greeted.
func (l *Link) Peer() actor.ID {
	if h := l.peer.Load(); h != nil {
		return h.Self.ToID()
	}
	return actor.ID{}
}

// Close ends this side in order: what is queued still goes out, then a Bye with
// the reason (nil: all is well). The link is Done when the peer has done the same.
func (l *Link) Close(reason error) {
	var f *wire.Fault
	if reason != nil {
		f = fault.Pack(reason, l.cfg.Self)
	}
	l.out.close(&wire.Frame{Kind: wire.Kind_KIND_BYE, Fault: f})
}

// Abort cuts the link: nothing that is queued goes out. err is what Err reports,
// if the link has not ended before.
func (l *Link) Abort(err error) {
	l.fail(err)
	l.out.close(nil)
	l.transport.Abort()
}

// Done is closed when the link has ended and owns no goroutine any more.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err says, after Done, why the link ended: nil if both sides closed in order. It is the first
// reason; whatever fails as a consequence of that is not kept.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Farewell is the reason that the peer gave with its Bye; ok is false if none
// came, so that the link was cut.
func (l *Link) Farewell() (ok bool, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byeIn, l.bye
}

func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}
