package process

import "sync"

const (
	maxQueue     = 1 << 20 // bytes that wait for Log
	lineOverhead = 64      // what a queued line costs beside its text, roughly
)

// journal hands lines to a log function that may be slow, without ever making
// the writer wait. With a log function it owns one goroutine, from the first
// line until the last after close.
type journal struct {
	log     func(Line)
	wake    chan struct{} // one token: something changed
	flushed chan struct{}

	lk struct {
		sync.Mutex
		lines   []Line
		size    int
		dropped int
		started bool
		closed  bool
	}
}

func newJournal(log func(Line)) *journal {
	return &journal{log: log, wake: make(chan struct{}, 1), flushed: make(chan struct{})}
}

// put queues a copy of the line, or counts it as dropped. After close it does
// nothing.
func (j *journal) put(stream Stream, text []byte, part Part) {
	if j.log == nil {
		return
	}
	j.lk.Lock()
	defer j.lk.Unlock()
	if j.lk.closed {
		return
	}
	size := len(text) + lineOverhead
	if j.lk.size+size > maxQueue {
		j.lk.dropped++
		return
	}
	text = append([]byte(nil), text...)
	j.add(Line{Stream: stream, Text: text, Part: part}, size)
}

// add queues a line with what was dropped before it; the caller holds the lock.
func (j *journal) add(line Line, size int) {
	line.Dropped, j.lk.dropped = j.lk.dropped, 0
	j.lk.lines = append(j.lk.lines, line)
	j.lk.size += size
	if !j.lk.started {
		j.lk.started = true
		own(j.write)
	}
	j.ring()
}

// close says that no more lines come. It may be called once.
func (j *journal) close() {
	j.lk.Lock()
	defer j.lk.Unlock()
	j.lk.closed = true
	if j.lk.dropped > 0 {
		j.add(Line{}, 0)
	}
	if !j.lk.started {
		close(j.flushed)
	}
	j.ring()
}

// ring wakes the writer.
func (j *journal) ring() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// write calls log until the journal is closed and empty.
func (j *journal) write() {
	defer close(j.flushed)
	for range j.wake {
		lines, closed := j.take()
		for _, line := range lines {
			j.log(line)
		}
		if closed && len(lines) == 0 {
			return
		}
		if closed {
			j.ring()
		}
	}
}

// take empties the queue.
func (j *journal) take() (lines []Line, closed bool) {
	j.lk.Lock()
	defer j.lk.Unlock()
	lines, j.lk.lines, j.lk.size = j.lk.lines, nil, 0
	return lines, j.lk.closed
}
