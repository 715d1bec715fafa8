package process

import "bytes"

// maxLine is where a line is cut. bufio.Scanner, with which readers of such
// lines often work, gives up at the same length.
const maxLine = 64 << 10

// Stream says which of its outputs a child wrote to.
type Stream int

// The two outputs.
const (
	Stdout Stream = iota + 1
	Stderr
)

// String returns "stdout" or "stderr".
func (s Stream) String() string {
	if s == Stdout {
		return "stdout"
	}
	return "stderr"
}

// Line is one line of a child's output without its line end, in whatever
// encoding the child chose.
type Line struct {
	Stream Stream
	// Text is the receiver's to keep.
	Text []byte
	// Continued says that the line was cut at 64 KiB and goes on in the next
	// Line of the same stream.
	Continued bool
	// Dropped is how many lines, of either stream, were lost before this one
	// because Spec.Log was too slow. A loss at the very end comes as a Line
	// without a Stream.
	Dropped int
}

// splitter cuts a stream of bytes into lines of at most limit bytes. emit gets
// a text that is valid only during the call, and may change limit.
type splitter struct {
	limit int
	line  []byte
	emit  func(text []byte, continued bool)
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
	if len(s.line) > 0 {
		s.flush(false)
	}
}

// flush emits what has been gathered.
func (s *splitter) flush(continued bool) {
	line := s.line
	s.line = s.line[:0]
	s.emit(line, continued)
}
