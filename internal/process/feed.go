package process

import (
	"io"
	"sync"
)

// feed is a reader for go-plugin: it holds back until it is offered a text,
// gives that, and ends when end is closed. It needs no goroutine.
type feed struct {
	ready   chan struct{} // closed when text is there
	end     <-chan struct{}
	closed  chan struct{}
	offered sync.Once
	closing sync.Once

	lk struct {
		sync.Mutex
		text []byte
	}
}

func newFeed(end <-chan struct{}) *feed {
	return &feed{ready: make(chan struct{}), end: end, closed: make(chan struct{})}
}

// offer gives the feed its text. Only the first one counts.
func (f *feed) offer(text []byte) {
	f.offered.Do(func() {
		f.lk.text = append([]byte(nil), text...)
		close(f.ready)
	})
}

// Read waits for the text, then for the end.
func (f *feed) Read(b []byte) (int, error) {
	select {
	case <-f.closed:
		return 0, io.ErrClosedPipe
	case <-f.end:
	case <-f.ready:
	}
	if n := f.take(b); n > 0 || len(b) == 0 {
		return n, nil
	}
	select {
	case <-f.closed:
		return 0, io.ErrClosedPipe
	case <-f.end:
		return 0, io.EOF
	}
}

// take copies what is left of the text.
func (f *feed) take(b []byte) int {
	select {
	case <-f.ready:
	default:
		return 0
	}
	f.lk.Lock()
	defer f.lk.Unlock()
	n := copy(b, f.lk.text)
	f.lk.text = f.lk.text[n:]
	return n
}

// Close makes Read return. The child does not notice: its output is read on.
func (f *feed) Close() error {
	f.closing.Do(func() { close(f.closed) })
	return nil
}
