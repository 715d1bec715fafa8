package process

import "time"

// cutOff gives the reader a second to come to the end by itself and then
// closes the pipe: pipes have no deadlines here, and a grandchild that holds
// one open must not hide the death of the process.
func (o *output) cutOff() {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	select {
	case <-o.ended:
	case <-late.C:
		_ = o.file.Close() // a second time, by child.close, does no harm
	}
}

// rest has nothing to do: read came to the end of the pipe.
func (o *output) rest() {}
