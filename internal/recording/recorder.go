package recording

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/codecs"
	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// Bounds of a recording, in bytes.
const (
	// mostWaiting is what may wait for the writer: the packets, and perEvent for each of them, since
	// a packet may be empty.
	mostWaiting = 32 << 20
	perEvent    = 128
	// Most is how large the file may become.
	Most = 256 << 20
	// lastLines is how long Close waits for a writer that does not return.
	lastLines = 5 * time.Second
)

// Recorder writes what goes over the links of one actor, of one process after the other. It
// belongs to whoever has made it, and ends with Close. Links never wait for it: they put copies of
// their packets into a queue, whose goroutine runs only while something waits, and alone uses the
// fields below ended.
type Recorder struct {
	actor string
	log   *slog.Logger
	queue *logs.Queue[event]

	mu      sync.Mutex // guards waiting and ended; never held while anything is written
	waiting int        // bytes
	ended   bool       // nothing more is recorded

	w       io.Writer
	limits  limits
	written int
	over    bool            // the last line is written, or could not be
	process string          // whose lines come
	started map[string]bool // processes that have lines
}

// limits are bounds in bytes, which tests make small.
type limits struct{ waiting, file, payload int }

// event is what a tap has seen. Without one, the recording ends.
type event struct {
	from   *tap
	sent   bool
	packet []byte // nil: nothing more comes from the peer
	at     time.Time
	why    string // it ends early
}

// cost is what an event keeps of memory, in bytes.
func (e event) cost() int { return perEvent + len(e.packet) }

// New makes a recorder of the actor of a name. It writes to w on a goroutine of its own, and does
// not close it.
func New(w io.Writer, name string, log *slog.Logger) *Recorder {
	r := &Recorder{actor: name, log: log, w: w, limits: limits{mostWaiting, Most, link.DefaultMaxMessage}, started: map[string]bool{}}
	r.queue = logs.NewQueue(math.MaxInt, r.write, func(int) {}) // put counts, so that it knows what is the first to be lost
	return r
}

// Tap gives a transport that works as t does, and is recorded. A nil Recorder gives t.
func (r *Recorder) Tap(t link.Transport, of actor.ID) link.Transport {
	if r == nil {
		return t
	}
	return &tap{Transport: t, recorder: r, process: of.String(), json: map[uint64]bool{}}
}

// Close ends the recording, and returns when all of it is written, or after a while if its writer
// does not return. It is called when the actor is gone.
func (r *Recorder) Close() {
	r.end(event{})
	if !task.ClosedWithin(r.queue.Idle(), lastLines) {
		r.log.Warn("a recording is not written to its end: its writer does not return", "actor", r.actor)
	}
}

// recording reports whether there is any use in copying a packet.
func (r *Recorder) recording() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended
}

// put takes note of what a tap has seen. The first packet for which there is no room ends the
// recording: it is the last thing that is known of, so that what is written has no gap.
func (r *Recorder) put(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
	case r.waiting+e.cost() > r.limits.waiting:
		r.ended = true
		r.queue.Put(event{why: fmt.Sprintf("it is written more slowly than it comes: more than %d KiB wait", r.limits.waiting>>10)}, 0)
	default:
		r.waiting += e.cost()
		r.queue.Put(e, 0)
	}
}

// end puts the end, if there is none yet.
func (r *Recorder) end(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		r.queue.Put(e, 0)
	}
}

// write writes what an event stands for.
func (r *Recorder) write(e event) {
	if !r.over {
		lines, err := r.text(e)
		switch {
		case err != nil:
			r.giveUp(err.Error())
		case e.why != "":
			r.giveUp(e.why)
		case r.written+len(lines) > r.limits.file:
			r.giveUp(fmt.Sprintf("it has reached %d KiB", r.limits.file>>10))
		default:
			r.print(lines)
			r.over = r.over || e.from == nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting -= e.cost()
	r.ended = r.ended || r.over
}

// text is the lines of an event, with those that have to stand before them.
func (r *Recorder) text(e event) (lines []byte, err error) {
	if e.from == nil {
		return append(r.head(), LastLine+"\n"...), nil
	}
	own, err := e.from.text(e)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	lines = r.head()
	if name := e.from.process; name != r.process {
		what := "it goes on"
		if !r.started[name] {
			what = e.at.UTC().Format(time.RFC3339)
		}
		r.process, r.started[name] = name, true
		lines = fmt.Appendf(lines, "== %s: %s\n", name, what)
	}
	return append(lines, own...), nil
}

// head is what stands before the first lines.
func (r *Recorder) head() []byte {
	if r.written > 0 {
		return nil
	}
	return []byte(FirstLine + "\n")
}

// giveUp ends the recording early. The actor goes on.
func (r *Recorder) giveUp(why string) {
	r.print(append(r.head(), Incomplete+why+"\n"...))
	if !r.over {
		r.warn(why)
	}
	r.over = true
}

// print writes whole lines. After a failure nothing more is written: the last line may be there in
// part.
func (r *Recorder) print(lines []byte) {
	if len(lines) == 0 {
		return
	}
	n, err := r.w.Write(lines)
	r.written += n
	if err != nil {
		r.over = true
		r.warn(err.Error())
	}
}

func (r *Recorder) warn(why string) {
	r.log.Warn("a recording was given up; the actor goes on", "actor", r.actor, "reason", why)
}

// tap is a transport that is recorded. Send and Recv have one goroutine each, as those of any
// transport. The fields below process belong to the recorder's goroutine.
type tap struct {
	link.Transport

	recorder *Recorder
	process  string

	in, out *wire.Frame     // a payload of which pieces have come, or gone
	json    map[uint64]bool // dialogs whose payloads are JSON
	over    []uint64        // those of them that have ended last
}

// Send records a packet before it goes out: what answers it comes behind it.
func (t *tap) Send(b wire.Batch) error {
	if t.recorder.recording() {
		t.recorder.put(event{from: t, sent: true, packet: slices.Concat(b...), at: time.Now()})
	}
	return t.Transport.Send(b)
}

// Recv records a packet before anybody reads it: its payloads are somebody else's to change then.
func (t *tap) Recv() (*wire.Packet, error) {
	p, err := t.Transport.Recv()
	if !t.recorder.recording() {
		return p, err
	}
	e := event{from: t, at: time.Now()}
	if err == nil {
		e.packet = []byte{}
		for _, f := range p.Frames {
			if e.packet, err = wire.AppendFrame(e.packet, f); err != nil {
				return nil, err // it has been decoded, so that it can be encoded
			}
		}
	}
	t.recorder.put(e)
	return p, err
}

// text is the lines of a packet.
func (t *tap) text(e event) (lines []byte, err error) {
	arrow, partial := "<- ", &t.in
	if e.sent {
		arrow, partial = "-> ", &t.out
	}
	if e.packet == nil {
		return []byte(arrow + "end\n"), nil
	}
	packet, err := wire.NewPacket(wire.Batch{e.packet})
	if err != nil {
		return nil, err
	}
	for _, f := range packet.Frames {
		if f, err = t.whole(partial, f); err != nil {
			return nil, err
		}
		if f == nil || f.Kind == wire.Kind_KIND_CREDIT {
			continue
		}
		if lines, err = AppendFrame(append(lines, arrow...), f, t.isJSON(f)); err != nil {
			return nil, err
		}
		lines = append(lines, '\n')
	}
	return lines, nil
}

// isJSON reports whether a frame's payload is JSON, as the START of its dialog has said. A dialog
// that has ended is still known for a while, since what its opener has sent may cross the ending:
// until as many others have ended as a link may have at once.
func (t *tap) isJSON(f *wire.Frame) (is bool) {
	if f.Start != nil && f.Start.Codec == codecs.JSON.Name() {
		t.json[f.Dialog] = true
	}
	is = t.json[f.Dialog]
	if is && (f.Kind == wire.Kind_KIND_RETURN || f.Kind == wire.Kind_KIND_ERROR) {
		t.over = append(t.over, f.Dialog)
	}
	if len(t.over) > link.DefaultMaxDialogs {
		delete(t.json, t.over[0])
		t.over = t.over[1:]
	}
	return is
}

// whole puts the pieces of a payload together, of which one is under way in each direction: it
// gives the frame that f is or completes, or nil.
func (t *tap) whole(partial **wire.Frame, f *wire.Frame) (*wire.Frame, error) {
	limit := t.recorder.limits.payload
	if p := *partial; p != nil && p.Dialog == f.Dialog && p.Kind == f.Kind {
		p.Payload = append(p.Payload, f.Payload...)
		if f.More && len(p.Payload) <= limit {
			return nil, nil
		}
		f.Payload, *partial = p.Payload, nil
	} else if f.More {
		*partial = &wire.Frame{Dialog: f.Dialog, Kind: f.Kind, Payload: slices.Clone(f.Payload)}
		return nil, nil
	}
	if len(f.Payload) > limit {
		return nil, fmt.Errorf("a payload of more than %d KiB has come", limit>>10)
	}
	f.More, f.Total = false, 0
	return f, nil
}
