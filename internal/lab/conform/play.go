package conform

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seed-2ba35074/trellis/internal/link"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
)

// Identity is the uuid of the actor that a script plays.
const Identity = "5c217700-0000-4000-8000-000000000001"

// Path is where the implementation is in the tree that the script plays.
const Path = "conform"

const (
	// cutAfter is how many violations cost the link.
	cutAfter = 32
	// often is how many times something is sent that must not be taken for one.
	often = 40
	// largestPiece is the largest payload of one frame, in bytes.
	largestPiece = 128 << 10
)

// Pace is how a player keeps time with an implementation. No verdict hangs on how fast one
// is: with a Pace that only waits, a machine that is slow makes fewer failures seen, never
// more.
type Pace struct {
	// Settle returns when the implementation will do nothing more by itself. nil: nobody
	// can say when that is. What comes is then held against the moments at which the script
	// has sent something, and asked for once more before the link ends.
	Settle func()
	// Forever is how much is waited for of a silence of a second or more, which stands for
	// one that never ends; 0 is all of it.
	Forever time.Duration
	// Patience is how long a frame may take.
	Patience time.Duration
	// Greeted, if not nil, is called when the script has sent its first frame.
	Greeted func()
}

// player plays one transcript. It owns the goroutine that reads, until Play returns.
type player struct {
	conn  link.Transport
	pace  Pace
	news  chan struct{} // has a token when something has come
	since time.Time     // nothing that the implementation does next can have begun before this
	spoke bool          // the script has sent something since it has heard something
	free  uint64        // id of the next dialog that only asks whether all is well
	over  bool          // the script has ended the link itself
	self  string        // uuid of the implementation
	fault string        // id of the last fault that a line has had

	mu     sync.Mutex
	frames []heard     // that have come, and no line has had yet
	begun  *wire.Frame // whose payload is incomplete
	broken error       // what came was malformed
	ended  bool        // nothing more comes
}

// heard is a frame that has come.
type heard struct {
	*wire.Frame
	at time.Time
}

// greeting is how a transcript begins that does not say so itself.
var greeting = []line{
	{0, "<-", `HELLO hello={"self": {"uuid": "*"}, "version": 1, "max_message": "*"}`},
	{0, "->", `HELLO hello={"version": 1, "self": {"name": "script", "uuid": "$script"}, "max_message": 67108864}`},
}

// Play plays a transcript over a link. What differs from it is a *Difference.
func (s *Script) Play(conn link.Transport, pace Pace) error {
	p := &player{conn: conn, pace: pace, news: make(chan struct{}, 1), free: 2, since: time.Now()}
	reader := task.Start(p.read)
	defer reader.Wait()
	defer conn.Abort()
	lines := s.lines
	if first := lines[0]; first.does != "<-" || !strings.HasPrefix(first.text, "HELLO") {
		lines = append(slices.Clone(greeting), lines...)
	}
	for _, l := range lines {
		if err := p.play(l.does, l.text); err != nil {
			return p.differs(l, err)
		}
	}
	if err := p.close(); err != nil {
		return p.differs(line{}, err)
	}
	return nil
}

// Difference is where an implementation has left a transcript.
type Difference struct {
	Line   int      // in the chapter; 0 is HELLO, or the end of the link, which stand in no line
	Expect string   // the line; "" at the end of the link, where nothing more may come
	Reason string   // in what it differs
	Came   []string // the frames that have come, and no line has had
}

func (d *Difference) Error() string {
	where := "at the end of the link"
	if d.Expect != "" {
		where = fmt.Sprintf("line %d: %s", d.Line, d.Expect)
	}
	lines := append([]string{where + ": " + d.Reason}, d.Came...)
	return strings.Join(lines, "\n    has come: ")
}

// differs is the Difference at a line.
func (p *player) differs(l line, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &Difference{Line: l.number, Expect: strings.TrimSpace(l.does + " " + l.text), Reason: err.Error()}
	for _, f := range p.frames {
		d.Came = append(d.Came, describe(f.Frame))
	}
	return d
}

// play plays one line.
func (p *player) play(does, text string) error {
	text = strings.NewReplacer("$script", Identity, "$self", p.self, "$id", p.fault).Replace(text)
	packet, raw := strings.CutPrefix(text, "bytes")
	switch {
	case does == "--":
		d, err := time.ParseDuration(text)
		return errors.Join(err, p.silence(d))
	case does == "<-" && text == "end":
		p.over = true
		return p.await(func() (bool, error) { return p.ended, nil })
	case text == "end":
		p.over = true
		return p.conn.CloseSend()
	case text == "cut":
		p.over = true
		p.conn.Abort()
		return nil
	case raw:
		b, err := hex.DecodeString(strings.ReplaceAll(packet, " ", ""))
		p.speak()
		_ = p.conn.Send(wire.Batch{b}) // see send
		return err
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
		if err := p.await(func() (bool, error) { return p.take(f) }); err != nil {
			return err
		}
	}
	return nil
}

// speak notes that the script is about to send something. What the implementation does next
// may answer the first of the frames that are sent together.
func (p *player) speak() {
	if !p.spoke {
		p.since, p.spoke = time.Now(), true
	}
}

// send sends a frame some times. The implementation may have ended the link by then, and be
// right to: that it has is what the next line finds out.
func (p *player) send(f *frameText, times int) error {
	p.speak()
	frames, err := f.frames()
	for i := 0; i < times*len(frames) && err == nil; i++ {
		var b []byte
		if b, err = wire.AppendFrame(nil, frames[i%len(frames)]); err == nil {
			_ = p.conn.Send(wire.Batch{b})
		}
	}
	if f.kind == wire.Kind_KIND_START && f.dialog%2 == 0 {
		p.free = max(p.free, f.dialog+2)
	}
	p.settle()
	if greeted := p.pace.Greeted; greeted != nil {
		p.pace.Greeted = nil
		greeted()
	}
	return err
}

func (p *player) settle() {
	if p.pace.Settle != nil {
		p.pace.Settle()
	}
}

// alive asks whether the link still works.
func (p *player) alive() error {
	id := p.free
	return errors.Join(
		p.play("->", fmt.Sprintf(`START %d func ["return well"]`, id)),
		p.play("<-", fmt.Sprintf(`RETURN %d "well"`, id)))
}

// close ends the link in order, if the transcript has not ended it. A dialog goes there and
// back before, and so has what was still on its way by then.
func (p *player) close() error {
	if err := p.quiet(time.Now()); err != nil || p.over {
		return err
	}
	err := errors.Join(p.alive(), p.play("->", "BYE"), p.play("<-", "BYE"), p.play("->", "end"), p.play("<-", "end"))
	return errors.Join(err, p.quiet(time.Now()))
}

// silence is an error if something comes for some time. Whoever can say when the
// implementation rests counts that time from now. Else it is counted from the moment after
// which the implementation can have begun to wait for anything, however late the script has
// heard of that.
func (p *player) silence(d time.Duration) error {
	if p.pace.Forever > 0 && d >= time.Second {
		d = p.pace.Forever
	}
	if p.pace.Settle != nil {
		p.since = time.Now()
	}
	p.since = p.since.Add(d)
	<-time.After(time.Until(p.since))
	return p.quiet(p.since)
}

// quiet is an error if more has come by then than the lines so far have had.
func (p *player) quiet(by time.Time) error {
	p.settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	more := slices.ContainsFunc(p.frames, func(f heard) bool { return !f.at.After(by) })
	return errors.Join(p.broken, unless(!more && p.begun == nil, "more has come"))
}

// await looks, under the lock, whenever something has come, until look is content or finds
// what no later frame can mend, or until nothing more comes in time.
func (p *player) await(look func() (ok bool, err error)) error {
	late := time.After(p.pace.Patience)
	for {
		p.settle()
		p.mu.Lock()
		ok, err := look()
		ended := p.ended
		p.mu.Unlock()
		if ok || err != nil {
			p.spoke = false
			return err
		}
		if ended {
			return errors.New("it has not come, and the link has ended")
		}
		select {
		case <-p.news:
		case <-late:
			return fmt.Errorf("it has not come within %v", p.pace.Patience)
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

// rulesOut reports whether a dialog has ended in a way after which a line's frame cannot come.
func rulesOut(got *wire.Frame, f *frameText) bool {
	return got.Dialog == f.dialog && got.Kind == wire.Kind_KIND_ERROR &&
		(f.kind == wire.Kind_KIND_RETURN || f.kind == wire.Kind_KIND_YIELD && got.Yields == 0)
}

// take removes the frame of a line from those that have come, and reports whether it has.
func (p *player) take(f *frameText) (ok bool, err error) {
	data := !slices.Contains(early, f.kind)
	i := slices.IndexFunc(p.frames, func(got heard) bool {
		return got.Dialog == f.dialog && (!data || !slices.Contains(early, got.Kind))
	})
	switch {
	case p.broken != nil:
		return false, p.broken
	case i < 0 && slices.ContainsFunc(p.frames, func(got heard) bool { return rulesOut(got.Frame, f) }):
		return false, errors.New("ERROR has come")
	case i < 0:
		return false, nil
	}
	got := p.frames[i]
	if what := f.mismatch(got.Frame); what != "" {
		return false, errors.New(what)
	}
	p.frames = slices.Delete(p.frames, i, i+1)
	if got.Hello != nil {
		p.self = got.Hello.Self.GetUuid()
	}
	if got.Fault != nil {
		p.fault = got.Fault.Root().GetId()
	}
	if got.Dialog%2 == 0 {
		p.free = max(p.free, got.Dialog+2)
	}
	return true, nil
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
			p.hearFrame(proto.CloneOf(f)) // the transport uses it again
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
		p.frames = append(p.frames, heard{f, time.Now()})
	}
}
