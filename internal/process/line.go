package process

import (
	"bytes"
	"unicode/utf8"
)

// maxLine is where a line is cut. bufio.Scanner, with which readers of such
// lines often work, gives up at the same length.
const maxLine = 64 << 10

// Stream is which of its outputs a child wrote to.
type Stream int

// The two outputs.
const (
	Stdout Stream = iota + 1
	Stderr
)

// String returns "stdout" or "stderr".
func (s Stream) String() string { return [...]string{Stdout: "stdout", Stderr: "stderr"}[s] }

// Line is one line of a child's output without its line end, in whatever
// encoding the child chose.
type Line struct {
	Stream Stream
	// Text is the receiver's to keep.
	Text []byte
	// Part is whether this is a whole line, or which piece of one that was cut
	// at 64 KiB. A line is cut between characters.
	Part Part
	// Dropped is how many lines, of either stream, were lost because Spec.Log was too
	// slow. A loss comes as a Line of its own, which has nothing else.
	Dropped int
}

// Part is what a Line is of the line that the child wrote.
type Part uint8

// The parts. A line that was cut is a Head, any number of Middles, and a Tail,
// all on the same stream.
const (
	Whole Part = iota
	Head
	Middle
	Tail
)

// String returns the part's name.
func (p Part) String() string { return [...]string{"whole", "head", "middle", "tail"}[p] }

// GoesOn reports whether the next Line of the stream is of the same line.
func (p Part) GoesOn() bool { return p == Head || p == Middle }

// Begins reports whether the Line begins a line.
func (p Part) Begins() bool { return p == Whole || p == Head }

// splitter cuts a stream of bytes into lines of at most limit bytes. emit gets
// a text that is valid only during the call, and may change limit. It belongs to the one goroutine
// that reads its stream. It holds at most limit bytes, whatever a child writes.
type splitter struct {
	limit int
	line  []byte
	cut   bool // the last text was not the end of its line
	emit  func(text []byte, part Part)
}

// write takes the next bytes of the stream.
func (s *splitter) write(p []byte) {
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		whole := n >= 0
		if !whole {
			n = len(p)
		}
		if room := s.limit - len(s.line); n > room {
			s.line = append(s.line, p[:room]...)
			p = p[room:]
			s.flush(true)
			continue
		}
		s.line = append(s.line, p[:n]...)
		if !whole {
			return
		}
		p = p[n+1:]
		s.flush(false)
	}
}

// end takes the end of the stream.
func (s *splitter) end() {
	if len(s.line) > 0 || s.cut {
		s.flush(false)
	}
}

// flush emits what has been gathered: the end of a line, or as many whole
// characters of one that goes on.
func (s *splitter) flush(cut bool) {
	text := s.line
	if cut {
		text = wholeCharacters(text)
	}
	part := Whole
	switch {
	case s.cut && cut:
		part = Middle
	case s.cut:
		part = Tail
	case cut:
		part = Head
	}
	s.cut = cut
	s.emit(text, part)
	s.line = append(s.line[:0], s.line[len(text):]...)
}

// wholeCharacters leaves out the beginning of a character whose end is missing. It looks at
// the last three bytes only, and never leaves out everything: bytes that are not UTF-8 at
// all are cut where the limit is.
func wholeCharacters(text []byte) []byte {
	for n := 1; n < utf8.UTFMax && n < len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				break
			}
			return text[:len(text)-n]
		}
	}
	return text
}
