package conform

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Identity is the uuid of the actor that a script plays.
const Identity = "5c217700-0000-4000-8000-000000000001"

// often is how many times something is sent that must do nothing, and more than it takes
// for violations to cost the link.
const often, cutAfter = 40, 32

// player plays one transcript. It owns the goroutine that reads, until the link has ended.
type player struct {
	conn   link.Transport
	settle func()
	news   chan struct{} // has a token when something has come
	free   uint64        // id of the next dialog that only asks whether all is well
	over   bool          // the script has ended the link itself
	self   string        // uuid of the implementation
	fault  string        // id of the last fault that a line has had

	mu     sync.Mutex
	frames []*wire.Frame // that have come, and no line has had yet
	pieces *wire.Frame   // that are incomplete
	broken error         // what came was malformed
	ended  bool          // nothing more comes
}

// Play plays a transcript over a link. settle returns when the implementation will do
// nothing more by itself, or has had time enough for it.
func (s *Script) Play(conn link.Transport, settle func()) error {
	p := &player{conn: conn, settle: settle, news: make(chan struct{}, 1), free: 2}
	reader := task.Start(p.read)
	defer reader.Wait()
	defer conn.Abort()
	if first := s.lines[0]; first.does != "<-" || !strings.HasPrefix(first.text, "HELLO") {
		if err := p.greet(); err != nil {
			return err
		}
	}
	for _, l := range s.lines {
		if err := p.play(l); err != nil {
			return fmt.Errorf("line %d: %s %s: %w%s", l.number, l.does, l.text, err, p.left())
		}
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("after the last line: %w%s", err, p.left())
	}
	return nil
}

func (p *player) greet() error {
	if err := p.play(line{does: "<-", text: `HELLO hello={"self": {"uuid": "*"}, "version": 1, "max_message": "*"}`}); err != nil {
		return fmt.Errorf("its HELLO: %w", err)
	}
	return p.play(line{does: "->", text: `HELLO hello={"version": 1, "self": {"name": "script", "uuid": "$script"}, "max_message": 67108864}`})
}

func (p *player) play(l line) error {
	text := strings.NewReplacer("$script", Identity, "$self", p.self, "$id", p.fault).Replace(l.text)
	switch l.does + " " + text {
	case "-> end":
		p.over = true
		return p.conn.CloseSend()
	case "-> cut":
		p.over = true
		p.conn.Abort()
		return nil
	case "<- end":
		p.over = true
		return p.await(func() error { return unless(p.ended, "its direction has not ended") })
	}
	if l.does == "--" {
		d, err := time.ParseDuration(text)
		<-time.After(d)
		return errors.Join(err, p.quiet())
	}
	if packet, ok := strings.CutPrefix(text, "bytes"); ok {
		b, err := hex.DecodeString(strings.ReplaceAll(packet, " ", ""))
		return errors.Join(err, p.conn.Send(wire.Batch{b}))
	}
	f, err := parseFrame(text)
	if err != nil {
		return err
	}
	switch l.does {
	case "->":
		return p.send(&f, f.times)
	case "~>":
		return errors.Join(p.send(&f, often), p.alive())
	case "!>":
		return p.violate(&f)
	}
	for range f.times {
		if err := p.await(func() error { return p.take(&f) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) send(f *frameText, times int) error {
	frames, err := f.frames()
	if err != nil {
		return err
	}
	for range times {
		for _, frame := range frames {
			b, err := wire.AppendFrame(nil, frame)
			if err == nil {
				err = p.conn.Send(wire.Batch{b})
			}
			if err != nil {
				return err
			}
		}
	}
	p.settle()
	if f.dialog >= p.free && f.dialog%2 == 0 && f.kind == wire.Kind_KIND_START {
		p.free = f.dialog + 2
	}
	return nil
}

// violate sends a frame as often as that may be, and then once more.
func (p *player) violate(f *frameText) error {
	if err := errors.Join(p.send(f, cutAfter-1), p.alive(), p.send(f, 1)); err != nil {
		return err
	}
	bye, _ := parseFrame(`BYE fails="trellis.Protocol"`)
	p.over = true
	return p.await(func() error { return p.take(&bye) })
}

// alive asks whether the link still works.
func (p *player) alive() error {
	start, _ := parseFrame(fmt.Sprintf(`START %d func ["return well"]`, p.free))
	answer, _ := parseFrame(fmt.Sprintf(`RETURN %d "well"`, p.free))
	if err := p.send(&start, 1); err != nil {
		return err
	}
	return p.await(func() error { return p.take(&answer) })
}

// close ends the link in order, if the transcript has not.
func (p *player) close() error {
	if err := p.quiet(); err != nil || p.over {
		return err
	}
	bye, _ := parseFrame("BYE")
	if err := p.send(&bye, 1); err != nil {
		return err
	}
	err := p.await(func() error { return p.take(&bye) })
	return errors.Join(err, p.conn.CloseSend(), p.await(func() error { return unless(p.ended, "its direction has not ended") }))
}

// quiet is an error if there is more than the lines so far have had.
func (p *player) quiet() error {
	p.settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.broken, unless(len(p.frames) == 0 && p.pieces == nil, "more has come"))
}

// patience is how long a frame may take.
const patience = 10 * time.Second

// await looks, under the lock, whenever something has come, until look finds nothing wrong
// or the time is over.
func (p *player) await(look func() error) error {
	late := time.After(patience)
	for {
		p.settle()
		p.mu.Lock()
		err := look()
		p.mu.Unlock()
		if err == nil {
			return nil
		}
		select {
		case <-p.news:
		case <-late:
			return err
		}
	}
}

func unless(ok bool, what string) error {
	if ok {
		return nil
	}
	return errors.New(what)
}

// early are the frames that may come before data that was sent before them.
var early = []wire.Kind{
	wire.Kind_KIND_ATTACH, wire.Kind_KIND_CREDIT, wire.Kind_KIND_ERROR, wire.Kind_KIND_FAIL,
	wire.Kind_KIND_CANCEL, wire.Kind_KIND_CANCEL_ACK,
}

// take removes the frame of a line from those that have come.
func (p *player) take(f *frameText) error {
	data := !slices.Contains(early, f.kind)
	for i, got := range p.frames {
		if got.Dialog != f.dialog || data && slices.Contains(early, got.Kind) {
			continue
		}
		if what := f.mismatch(got); what != "" {
			return errors.New(what)
		}
		p.frames = slices.Delete(p.frames, i, i+1)
		if got.Hello != nil {
			p.self = got.Hello.Self.GetUuid()
		}
		if got.Fault != nil {
			p.fault = got.Fault.Id
		}
		return p.broken
	}
	return errors.Join(p.broken, errors.New("it has not come"))
}

// left is what has come and was not wanted, for a failure's text.
func (p *player) left() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, f := range p.frames {
		text := f.String()
		fmt.Fprintf(&b, "\n    has come: %.600s", text)
	}
	return b.String()
}

func (p *player) read() {
	for {
		packet, err := p.conn.Recv()
		p.heard(packet, err)
		if err != nil {
			return
		}
	}
}

// heard keeps what has come, or that nothing more will.
func (p *player) heard(packet *wire.Packet, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = err != nil
	if !p.ended {
		for _, f := range packet.Frames {
			p.hear(f)
		}
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// largestPiece is the largest payload of one frame, in bytes.
const largestPiece = 128 << 10

// hear keeps a frame, or puts a piece to the others of its payload.
func (p *player) hear(f *wire.Frame) {
	begun := p.pieces
	same := begun != nil && begun.Dialog == f.Dialog && begun.Kind == f.Kind
	switch {
	case len(f.Payload) > largestPiece:
		p.broken = fmt.Errorf("%v of dialog %d has %d bytes in one frame", f.Kind, f.Dialog, len(f.Payload))
	case f.More && begun != nil && !same:
		p.broken = fmt.Errorf("%v of dialog %d comes between the pieces of %v of dialog %d", f.Kind, f.Dialog, begun.Kind, begun.Dialog)
	case same:
		f.Payload = append(begun.Payload, f.Payload...)
	}
	if f.More {
		p.pieces = f
		return
	}
	if same {
		p.pieces = nil
	}
	p.frames = append(p.frames, f)
}
