package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
)

// plainEvery is how often progress is printed where it cannot be redrawn.
const plainEvery = time.Second

// progress shows how far a job is: redrawn in place on a terminal, else as a plain
// line now and then. It is used by one goroutine at a time.
type progress struct {
	w        io.Writer
	terminal bool
	drawn    int // lines on the terminal that are progress
	last     time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && isatty.IsTerminal(f.Fd())}
}

// say shows a step.
func (p *progress) say(text string) {
	if p.terminal {
		p.draw([]string{text})
		return
	}
	if time.Since(p.last) >= plainEvery {
		p.line(text)
	}
}

// show shows a message of the main job: an object's plain fields in one line, and
// a line for each object of its lists.
func (p *progress) show(message json.RawMessage) {
	v, err := parseValue(message)
	if err != nil {
		return // it was JSON when it was sent; a job's progress is no reason to fail
	}
	plain, lines := v, []string(nil)
	if v.kind == '{' {
		plain.fields = nil
		for _, f := range v.fields {
			if !f.value.isTable() {
				plain.fields = append(plain.fields, f)
				continue
			}
			for _, item := range f.value.items {
				lines = append(lines, "  "+item.flat())
			}
		}
	}
	if p.terminal {
		p.draw(append([]string{plain.flat()}, lines...))
		return
	}
	p.say(plain.flat())
}

func (p *progress) line(text string) {
	p.last = time.Now()
	_, _ = fmt.Fprintln(p.w, text) // progress that cannot be shown stops nothing
}

// draw replaces what was drawn before.
func (p *progress) draw(lines []string) {
	p.erase()
	p.drawn = len(lines)
	_, _ = fmt.Fprint(p.w, strings.Join(lines, "\n")+"\n")
}

func (p *progress) erase() {
	if p.drawn > 0 {
		_, _ = fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.drawn) // up, and clear to the end
		p.drawn = 0
	}
}

// end removes what is drawn. It may be called more than once.
func (p *progress) end() { p.erase() }
