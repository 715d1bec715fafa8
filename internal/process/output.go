package process

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/logs"
	"github.com/seed-2ba35074/trellis/internal/task"
)

const (
	maxLogged    = 1 << 20 // bytes that wait for Spec.Log
	lineOverhead = 64      // what a queued line costs beside its text, roughly
	tailLines    = 20      // how many lines of stderr are remembered
	tailWidth    = 1 << 10 // and how many bytes of each
	firstRead    = 512     // bytes that are read of a pipe at once, as most children are silent
	mostRead     = 4 << 10 // and after that has been too little
)

// newLog makes the queue before Spec.Log.
func newLog(log func(Line)) *logs.Queue[Line] {
	return logs.NewQueue(maxLogged, log, func(n int) { log(Line{Dropped: n}) })
}

// put hands a line to Spec.Log, if there is one, and never waits for it.
func (p *Process) put(stream Stream, text []byte, part Part) {
	if p.spec.Log != nil {
		p.log.Put(Line{Stream: stream, Text: bytes.Clone(text), Part: part}, len(text)+lineOverhead)
	}
}

// Flushed is closed when Spec.Log has returned from the last line so far; if that is
// after Done, from the last one of all. A Log that never returns keeps it open.
func (p *Process) Flushed() <-chan struct{} { return p.log.Idle() }

// drain starts to read both outputs. The function it returns is called when
// the process is dead; it takes what is left in the pipes and returns when
// both readers have ended, whoever else still holds a pipe.
func (p *Process) drain(c *child) (finish func()) {
	out, errs := readOutput(c.stdout, p.stdoutLines()), readOutput(c.stderr, p.stderrLines())
	return func() {
		out.cutOff()
		errs.cutOff()
		out.reader.Wait()
		errs.reader.Wait()
	}
}

// stdoutLines checks the first line and logs the others. The first line has a
// limit of its own, so that a flood without line ends is refused soon. The limit also is what
// tells that no line has come yet: the first call of emit raises it for good.
func (p *Process) stdoutLines() *splitter {
	s := &splitter{limit: maxHandshake}
	s.emit = func(text []byte, part Part) {
		if s.limit == maxHandshake {
			s.limit = maxLine
			p.greet(text, part)
			return
		}
		p.put(Stdout, text, part)
	}
	return s
}

// greet passes a good handshake line on to go-plugin. A bad one is logged, as
// any other line, and replaced.
func (p *Process) greet(text []byte, part Part) {
	err := checkHandshake(text, part.GoesOn(), environ.Lookup(p.env, "PLUGIN_CLIENT_CERT") != "")
	if err == nil {
		p.stdout.offer(string(text) + "\n")
		return
	}
	p.lk.Lock()
	p.lk.greet = err
	p.lk.Unlock()
	p.stdout.offer(err.harmless() + "\n")
	p.put(Stdout, text, part)
}

// stderrLines logs every line and remembers the last ones.
func (p *Process) stderrLines() *splitter {
	return &splitter{limit: maxLine, emit: func(text []byte, part Part) {
		if part.Begins() {
			p.remember(text, part == Head)
		}
		p.put(Stderr, text, part)
	}}
}

// remember keeps what a line says for the case that it is one of the last.
func (p *Process) remember(text []byte, cut bool) {
	if p.spec.Gist == nil {
		p.tail.add(text)
	} else if gist := p.spec.Gist(text, cut); gist != "" {
		p.tail.add([]byte(gist))
	}
}

// Aside returns a writer for output of the child that comes by another way than
// its pipes, as go-plugin's stdio service sends what a program prints while it
// serves. Its lines go to Spec.Log as all others do; it never blocks. It is for one
// goroutine.
func (p *Process) Aside(stream Stream) io.Writer {
	return aside{&splitter{limit: maxLine, emit: func(text []byte, part Part) { p.put(stream, text, part) }}}
}

type aside struct{ lines *splitter }

// Write takes the next bytes of the stream.
func (a aside) Write(b []byte) (int, error) {
	a.lines.write(b)
	return len(b), nil
}

// output reads one pipe of a child into lines, from its start to its end, on a goroutine
// that ends with the pipe or soon after cutOff.
type output struct {
	file   *os.File
	lines  *splitter
	buf    []byte // not on the stack, which would never shrink again
	reader *task.Worker
}

func readOutput(file *os.File, lines *splitter) *output {
	o := &output{file: file, lines: lines, buf: make([]byte, firstRead)}
	o.reader = task.Start(o.read)
	return o
}

func (o *output) read() {
	for {
		n, err := o.file.Read(o.buf)
		o.lines.write(o.buf[:n])
		if err != nil {
			o.rest()
			o.lines.end()
			return
		}
		if n == len(o.buf) && n < mostRead {
			o.buf = make([]byte, mostRead)
		}
	}
}

// tail remembers how a child's stderr ended: the last lines, and the first line
// of a Go panic, which a long list of goroutines pushes out of the last lines. The reader of stderr
// writes it; Diagnose may read it while the child still runs. The lock guards both fields.
type tail struct {
	sync.Mutex
	lines []string
	panic string
}

// add remembers a line. The text is made valid UTF-8, since it travels on in
// error messages.
func (t *tail) add(text []byte) {
	if len(text) > tailWidth {
		text = wholeCharacters(text[:tailWidth])
	}
	line := strings.ToValidUTF8(string(text), "\uFFFD")
	t.Lock()
	defer t.Unlock()
	if t.panic == "" && Crashes(text) {
		t.panic = line
	}
	if len(t.lines) == tailLines {
		t.lines = slices.Delete(t.lines, 0, 1)
	}
	t.lines = append(t.lines, line)
}

// read returns what is remembered.
func (t *tail) read() (lines []string, panicked string) {
	t.Lock()
	defer t.Unlock()
	return slices.Clone(t.lines), t.panic
}

// Crashes reports whether a line of stderr begins what the Go runtime prints of a
// crash: everything after it is the list of goroutines.
func Crashes(line []byte) bool {
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
}
