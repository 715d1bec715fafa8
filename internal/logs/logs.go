// Package logs lets code write log records that must not wait for whoever reads them:
// under a lock, on a link's reader, on the way of a teardown.
package logs

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// mostQueued bounds the records that wait for their handler; later ones are dropped
// and counted.
const mostQueued = 4096

// Queue calls a log handler, which is somebody else's code, in goroutines of its own:
// one at a time, in order, and none while there is nothing to log.
type Queue struct {
	handler slog.Handler
	traces  bool // the handler took records below debug when the queue was made
	tasks   task.Group

	mu      sync.Mutex
	waiting []slog.Record
	dropped int
	working bool
}

// New makes a queue before the handler of log.
func New(log *slog.Logger) *Queue {
	return &Queue{handler: log.Handler(), traces: log.Enabled(context.Background(), slog.LevelDebug-1)}
}

// Logger writes to the queue, and returns at once.
func (q *Queue) Logger() *slog.Logger { return slog.New(&handler{queue: q}) }

// Flush waits until all that was logged has been handled; for no longer than that: a
// handler may wait for whoever flushes.
func (q *Queue) Flush(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-q.tasks.Idle():
	case <-timer.C:
	}
}

func (q *Queue) put(r slog.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= mostQueued {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, r)
	if !q.working {
		q.working = true
		q.tasks.Go(q.work)
	}
}

// work handles what waits, until nothing does.
func (q *Queue) work() {
	ctx := context.Background()
	for {
		batch, dropped := q.take()
		if len(batch) == 0 {
			return
		}
		for _, r := range batch {
			if q.handler.Enabled(ctx, r.Level) {
				_ = q.handler.Handle(ctx, r) // a handler's failure has nowhere to go
			}
		}
		if dropped > 0 && q.handler.Enabled(ctx, slog.LevelWarn) {
			r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were dropped: their handler is too slow", 0)
			r.AddAttrs(slog.Int("dropped", dropped))
			_ = q.handler.Handle(ctx, r)
		}
	}
}

func (q *Queue) take() (batch []slog.Record, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch, dropped = q.waiting, q.dropped
	q.waiting, q.dropped = nil, 0
	q.working = len(batch) > 0
	return batch, dropped
}

// handler is the near end of a queue. What it is given with With goes along with each
// record, so that nothing of the handler behind is called here.
type handler struct {
	queue *Queue
	attrs []slog.Attr
	group string // all attributes that come later are below it
}

// Enabled leaves the decision to the goroutine that handles, for all but traces, which
// are frequent.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelDebug || h.queue.traces
}

// Handle queues a record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	all := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	all.AddAttrs(h.attrs...)
	if h.group == "" {
		r.Attrs(func(a slog.Attr) bool { all.AddAttrs(a); return true })
	} else {
		var below []any
		r.Attrs(func(a slog.Attr) bool { below = append(below, a); return true })
		all.AddAttrs(slog.Group(h.group, below...))
	}
	h.queue.put(all)
	return nil
}

// WithAttrs adds attributes to all later records.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append(slices.Clip(c.attrs), attrs...)
	return &c
}

// WithGroup puts all later attributes below a name.
func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.group = name
	return &c
}
