package logs

import (
	"sync"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// Queue hands values to functions that may be slow, because they are somebody else's,
// without making whoever puts them in wait. They are called on a goroutine of the
// queue's own, one at a time and in order; it runs only while there is something to
// hand on. What does not fit is dropped and counted.
//
// All methods may be called at the same time, by the functions as well.
type Queue[T any] struct {
	most   int           // how large the values that wait may be together
	handle func(T)       // called for each value
	lost   func(how int) // called after the values that came before a loss
	tasks  task.Group

	mu      sync.Mutex // guards the rest; never held while a function is called
	waiting []T
	size    int
	dropped int
	working bool // the goroutine runs, and will look again
	closed  bool
}

// NewQueue makes a queue. most bounds the sizes of what waits, in the unit that the
// caller chooses for Put.
func NewQueue[T any](most int, handle func(T), lost func(how int)) *Queue[T] {
	return &Queue[T]{most: most, handle: handle, lost: lost}
}

// Put queues a value, or drops it if the queue is full. After Close it does nothing.
func (q *Queue[T]) Put(v T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return
	case q.size+size > q.most:
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, v)
	q.size += size
	if !q.working {
		q.working = true
		q.tasks.Go(q.work)
	}
}

// Close makes later Puts do nothing. What waits is still handed on.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// Idle is closed when all that was put has been handed on. A function that does not
// return keeps it open.
func (q *Queue[T]) Idle() <-chan struct{} { return q.tasks.Idle() }

// work hands on what waits, until nothing does.
func (q *Queue[T]) work() {
	for {
		batch, dropped := q.take()
		if len(batch) == 0 {
			return
		}
		for _, v := range batch {
			q.handle(v)
		}
		if dropped > 0 {
			q.lost(dropped)
		}
	}
}

func (q *Queue[T]) take() (batch []T, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, dropped = q.waiting, q.dropped
	q.waiting, q.size, q.dropped = nil, 0, 0
	q.working = len(batch) > 0
	return batch, dropped
}
