package process

import "os"

// output reads one pipe of a child into lines, from its start to its end.
type output struct {
	file  *os.File
	lines *splitter
	ended chan struct{}
	buf   []byte // not on the stack, which would never shrink again
}

func newOutput(file *os.File, lines *splitter) *output {
	return &output{file: file, lines: lines, ended: make(chan struct{}), buf: make([]byte, 4<<10)}
}

// read runs until the pipe ends or cutOff says that the process is dead.
func (o *output) read() {
	defer close(o.ended)
	defer o.lines.end()
	for {
		n, err := o.file.Read(o.buf)
		o.lines.write(o.buf[:n])
		if err != nil {
			o.rest()
			return
		}
	}
}
