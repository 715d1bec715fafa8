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
	text = text[:min(len(text), tailWidth)]
	line := strings.ToValidUTF8(string(text), "\uFFFD")
	t.Lock()
	defer t.Unlock()
	if t.panic == "" && (bytes.HasPrefix(text, []byte("panic: ")) || bytes.HasPrefix(text, []byte("fatal error: "))) {
		t.panic = line
	}
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

// read returns what is remembered.
func (t *tail) read() (lines []string, panicked string) {
	t.Lock()
	defer t.Unlock()
	return append([]string(nil), t.lines...), t.panic
}
