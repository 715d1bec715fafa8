package process

import "io"

// Aside returns a writer for output of the child that comes by another way than
// its pipes, as go-plugin's stdio service sends what a program prints while it
// serves. Its lines go to Spec.Log as any others; it never blocks. It is for one
// goroutine.
func (p *Process) Aside(stream Stream) io.Writer {
	return aside{&splitter{limit: maxLine, emit: func(text []byte, part Part) {
		p.journal.put(stream, text, part)
	}}}
}

type aside struct{ lines *splitter }

// Write takes the next bytes of the stream.
func (a aside) Write(b []byte) (int, error) {
	a.lines.write(b)
	return len(b), nil
}
