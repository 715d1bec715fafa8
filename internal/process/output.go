package process

import "os"

// output reads one pipe of a child into lines, from its start to its end.
type output struct {
	file  *os.File
	lines *splitter
	ended chan struct{}
}

func newOutput(file *os.File, lines *splitter) *output {
	return &output{file: file, lines: lines, ended: make(chan struct{})}
}

// read runs until the pipe ends or cutOff says that the process is dead.
func (o *output) read() {
	defer close(o.ended)
	defer o.lines.end()
	buf := make([]byte, 32<<10)
	for {
		n, err := o.file.Read(buf)
		o.lines.write(buf[:n])
		if err != nil {
			o.rest(buf)
			return
		}
	}
}
