package process

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailLines = 20      // how many lines of stderr are remembered
	tailWidth = 1 << 10 // and how many bytes of each
)

// tail remembers how a child's stderr ended: the last lines, and the first line
// of a Go panic, which a long list of goroutines pushes out of the last lines.
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
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

// Crashes reports whether a line of stderr begins what the Go runtime prints of a
// crash: everything after it is the list of goroutines.
func Crashes(line []byte) bool {
	return bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
}

// read returns what is remembered.
func (t *tail) read() (lines []string, panicked string) {
	t.Lock()
	defer t.Unlock()
	return append([]string(nil), t.lines...), t.panic
}
