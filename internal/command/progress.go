package command

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/terminal"
)

// How often a job's progress is shown: as a plain line, and redrawn on a terminal.
const (
	plainEvery = time.Second
	drawEvery  = 50 * time.Millisecond
)

// maxDrawn bounds the lines on a terminal: what has scrolled away at its top could
// not be redrawn.
const maxDrawn = 12

// progressWidth is that of a bar, in characters.
const progressWidth = 20

// progress shows how far a job is: redrawn in place on a terminal, else as a plain
// line now and then. Logs are written through it, so that they stand above what is
// redrawn. All methods may be called at the same time.
type progress struct {
	style style
	drawn bool // redrawn in place
	every time.Duration
	now   func() time.Time

	mu    sync.Mutex
	w     io.Writer
	lines []string  // what stands on the terminal
	final bool      // the last step is shown
	shown time.Time // when say last showed something

	begun  time.Time // when a job first said how far it is, of how much
	before float64   // and how far that was; both are the job's goroutine's alone
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, style: styleOf(w), every: plainEvery, now: time.Now}
	if p.style.columns != nil {
		p.drawn, p.every = true, drawEvery
	}
	return p
}

// step shows a step of the run, always.
func (p *progress) step(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put([]string{text})
}

// pulse shows text anew every second, or every ten where nothing can be redrawn, until
// stop is called. A text of "" is not shown.
func (p *progress) pulse(text func() string) (stop func()) {
	interval := 10 * time.Second
	if p.drawn {
		interval = time.Second
	}
	stopped := make(chan struct{})
	worker := task.Start(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if now := text(); now != "" {
					p.step(now)
				}
			case <-stopped:
				return
			}
		}
	})
	return func() {
		close(stopped)
		worker.Wait()
	}
}

// last shows the last step of the run: what is shown before it may be wrong now, and
// what comes after it matters less.
func (p *progress) last(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put([]string{text})
	p.final = true
}

// say shows how far the job is, unless that was shown a moment ago.
func (p *progress) say(text string) { p.sayLines([]string{text}) }

func (p *progress) sayLines(lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.shown) >= p.every {
		p.shown = now
		p.put(lines)
	}
}

// show shows a message of the main job: an object's plain fields in one line, and
// a line for each object of its lists.
func (p *progress) show(message json.RawMessage) {
	v, err := parseValue(message)
	if err != nil {
		return // it was JSON when it was sent; a job's progress is not a reason to fail
	}
	bar := p.bar(message)
	if bar != "" {
		v.fields = slices.DeleteFunc(v.fields, func(f field) bool { return f.name == "done" || f.name == "total" })
	}
	lines := progressLines(v)
	switch {
	case bar != "" && lines[0] == value{kind: '{'}.flat():
		lines[0] = bar
	case bar != "":
		lines[0] = bar + ", " + lines[0]
	}
	p.sayLines(lines)
}

// bar is how far a job is that says so, with the numbers done and total: a bar on a terminal, with the rate since its
// first message and the time that is left.
func (p *progress) bar(message json.RawMessage) string {
	var far struct{ Done, Total *float64 }
	if json.Unmarshal(message, &far) != nil || far.Done == nil || far.Total == nil || *far.Total <= 0 {
		return "" // it does not say so
	}
	now, part := p.now(), min(1, max(0, *far.Done / *far.Total))
	if p.begun.IsZero() {
		p.begun, p.before = now, *far.Done
	}
	text := fmt.Sprintf("%3.0f %%", 100*part)
	if p.drawn {
		full := int(part * progressWidth)
		text = "[" + strings.Repeat("#", full) + strings.Repeat("-", progressWidth-full) + "] " + text
	}
	text += fmt.Sprintf(", %s of %s", grouped(fmt.Sprintf("%.0f", *far.Done)), grouped(fmt.Sprintf("%.0f", *far.Total)))
	if rate := (*far.Done - p.before) / max(now.Sub(p.begun), time.Millisecond).Seconds(); rate > 0 && part < 1 {
		left := time.Duration((*far.Total - *far.Done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %v left", grouped(fmt.Sprintf("%.0f", rate)), left.Round(time.Second))
	}
	return text
}

func progressLines(v value) []string {
	plain, lines := value{kind: v.kind}, []string{""}
	if v.kind != '{' {
		return []string{v.flat()}
	}
	for _, f := range v.fields {
		if !f.value.isTable() {
			plain.fields = append(plain.fields, f)
			continue
		}
		for _, item := range f.value.items {
			lines = append(lines, "  "+item.flat())
		}
	}
	lines[0] = plain.flat()
	return lines
}

// put replaces what was drawn before, or prints the first line where nothing can
// be replaced. Progress that cannot be shown stops nothing.
func (p *progress) put(lines []string) {
	if p.final {
		return
	}
	if !p.drawn {
		_, _ = fmt.Fprintln(p.w, terminal.Line(lines[0]))
		return
	}
	if more := len(lines) - maxDrawn; more > 0 {
		lines = append(lines[:maxDrawn:maxDrawn], fmt.Sprintf("  and %d more", more))
	}
	erase := p.erasure()
	p.lines = lines
	_, _ = io.WriteString(p.w, erase+p.drawing())
}

// Write prints a line of a log, or whatever else is for standard error, above what
// is drawn. It prints the text of it that a terminal can only show.
func (p *progress) Write(line []byte) (int, error) {
	if err := p.above(terminal.Text(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// above prints a text that is harmless.
func (p *progress) above(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) > 0 {
		text = p.erasure() + text + p.drawing()
	}
	_, err := io.WriteString(p.w, text)
	return err
}

// drawing are the lines, cut off at the terminal's edge: one that went on in the
// next row would not be erased.
func (p *progress) drawing() string {
	lines := make([]string, len(p.lines))
	for i, line := range p.lines {
		lines[i] = terminal.Line(line)
	}
	return "\x1b[?7l" + strings.Join(lines, "\n") + "\x1b[?7h\n"
}

// erasure goes up to the start of the first line and clears to the end of the
// screen. The cursor may be anywhere in its line: a terminal echoes Ctrl-C as ^C.
func (p *progress) erasure() string {
	if len(p.lines) == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(p.lines))
}

// end removes what is drawn. It may be called more than once.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.w, p.erasure())
	p.lines = nil
}
