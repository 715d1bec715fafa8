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

const (
	// cutAfter is how many violations cost the link.
	cutAfter = 32
	// often is how many times something is sent that must not be taken for one.
	often = 40
	// patience is how long a frame may take.
	patience = 10 * time.Second
	// largestPiece is the largest payload of one frame, in bytes.
	largestPiece = 128 << 10
)

// player plays one transcript. It owns the goroutine that reads, until Play returns.
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
	begun  *wire.Frame   // whose payload is incomplete
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
	lines := s.lines
	if first := lines[0]; first.does != "<-" || !strings.HasPrefix(first.text, "HELLO") {
		lines = append([]line{
			{0, "<-", `HELLO hello={"self": {"uuid": "*"}, "version": 1, "max_message": "*"}`},
			{0, "->", `HELLO hello={"version": 1, "self": {"name": "script", "uuid": "$script"}, "max_message": 67108864}`},
		}, lines...)
	}
	for _, l := range lines {
		if err := p.play(l.does, l.text); err != nil {
			return fmt.Errorf("line %d: %s %s: %w%s", l.number, l.does, l.text, err, p.left())
		}
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("after the last line: %w%s", err, p.left())
	}
	return nil
}

// play plays one line.
func (p *player) play(does, text string) error {
	text = strings.NewReplacer("$script", Identity, "$self", p.self, "$id", p.fault).Replace(text)
	packet, raw := strings.CutPrefix(text, "bytes")
	switch {
	case does == "--":
		d, err := time.ParseDuration(text)
		<-time.After(d)
		return errors.Join(err, p.quiet())
	case does == "<-" && text == "end":
		p.over = true
		return p.await(func() error { return unless(p.ended, "its direction has not ended") })
	case text == "end":
		p.over = true
		return p.conn.CloseSend()
	case text == "cut":
		p.over = true
		p.conn.Abort()
		return nil
	case raw:
		b, err := hex.DecodeString(strings.ReplaceAll(packet, " ", ""))
		return errors.Join(err, p.conn.Send(wire.Batch{b}))
	}
	f, err := parseFrame(text)
	if err != nil {
		return err
	}
	switch does {
	case "->":
		return p.send(f, f.times)
	case "~>":
		return errors.Join(p.send(f, often), p.alive())
	case "!>":
		p.over = true
		return errors.Join(p.send(f, cutAfter-1), p.alive(), p.send(f, 1), p.play("<-", `BYE fails="trellis.Protocol"`))
	}
	for range f.times {
		if err := p.await(func() error { return p.take(f) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) send(f *frameText, times int) error {
	frames, err := f.frames()
	for i := 0; i < times*len(frames) && err == nil; i++ {
		var b []byte
		if b, err = wire.AppendFrame(nil, frames[i%len(frames)]); err == nil {
			err = p.conn.Send(wire.Batch{b})
		}
	}
	if f.kind == wire.Kind_KIND_START && f.dialog%2 == 0 {
		p.free = max(p.free, f.dialog+2)
	}
	p.settle()
	return err
}

// alive asks whether the link still works.
func (p *player) alive() error {
	id := p.free
	return errors.Join(
		p.play("->", fmt.Sprintf(`START %d func ["return well"]`, id)),
		p.play("<-", fmt.Sprintf(`RETURN %d "well"`, id)))
}

// close ends the link in order, if the transcript has not ended it.
func (p *player) close() error {
	if err := p.quiet(); err != nil || p.over {
		return err
	}
	return errors.Join(p.play("->", "BYE"), p.play("<-", "BYE"), p.play("->", "end"), p.play("<-", "end"))
}

// quiet is an error if there is more than the lines so far have had.
func (p *player) quiet() error {
	p.settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.broken, unless(len(p.frames) == 0 && p.begun == nil, "more has come"))
}

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
	i := slices.IndexFunc(p.frames, func(got *wire.Frame) bool {
		return got.Dialog == f.dialog && (!data || !slices.Contains(early, got.Kind))
	})
	if i < 0 || p.broken != nil {
		return errors.Join(p.broken, unless(i >= 0, "it has not come"))
	}
	got := p.frames[i]
	if what := f.mismatch(got); what != "" {
		return errors.New(what)
	}
	p.frames = slices.Delete(p.frames, i, i+1)
	if got.Hello != nil {
		p.self = got.Hello.Self.GetUuid()
	}
	if got.Fault != nil {
		p.fault = got.Fault.Root().GetId()
	}
	return nil
}

// left is what has come and no line has had, for a failure's text.
func (p *player) left() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, f := range p.frames {
		fmt.Fprintf(&b, "\n    has come: %.600v", f)
	}
	return b.String()
}

func (p *player) read() {
	for {
		packet, err := p.conn.Recv()
		p.hear(packet, err)
		if err != nil {
			return
		}
	}
}

// hear keeps what has come, or that nothing more will.
func (p *player) hear(packet *wire.Packet, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended = err != nil; !p.ended {
		for _, f := range packet.Frames {
			p.hearFrame(f)
		}
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// hearFrame keeps a frame, or puts a piece to the others of its payload.
func (p *player) hearFrame(f *wire.Frame) {
	same := p.begun != nil && p.begun.Dialog == f.Dialog && p.begun.Kind == f.Kind
	if len(f.Payload) > largestPiece || f.More && p.begun != nil && !same {
		p.broken = fmt.Errorf("%v of dialog %d is too large, or comes between the pieces of another payload", f.Kind, f.Dialog)
	}
	if same {
		f.Payload, p.begun = slices.Concat(p.begun.Payload, f.Payload), nil
	}
	if f.More {
		p.begun = f
	} else {
		p.frames = append(p.frames, f)
	}
}
