package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// mostQueued bounds the records that wait for their handler; later ones are dropped
// and counted.
const mostQueued = 4096

// Log is a log handler behind a [Queue] of records, each a function that has it handled.
type Log struct {
	handler slog.Handler
	traces  bool // the handler took records below debug when the queue was made
	queue   *Queue[func()]
}

// New makes a queue before the handler of log.
func New(log *slog.Logger) *Log {
	l := &Log{handler: log.Handler(), traces: log.Enabled(context.Background(), slog.LevelDebug-1)}
	l.queue = NewQueue(mostQueued, func(handle func()) { handle() }, l.lost)
	return l
}

// Logger writes to the queue, and returns at once.
func (l *Log) Logger() *slog.Logger {
	return slog.New(&handler{l, func() slog.Handler { return l.handler }})
}

// Idle is closed when all that was logged so far has been handled. Whoever waits for it needs
// a bound: a handler may wait for them.
func (l *Log) Idle() <-chan struct{} { return l.queue.Idle() }

func (l *Log) lost(dropped int) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were dropped: their handler is too slow", 0)
	r.AddAttrs(slog.Int("dropped", dropped))
	handle(l.handler, r)
}

func handle(h slog.Handler, r slog.Record) {
	if ctx := context.Background(); h.Enabled(ctx, r.Level) {
		_ = h.Handle(ctx, r) // a handler's failure has nowhere to go
	}
}

// handler is the near end of a queue. Nothing of the handler behind is called here: behind gives
// that with what With has added, and is called by the queue's goroutine only.
type handler struct {
	log    *Log
	behind func() slog.Handler
}

// Enabled leaves the decision to the goroutine that handles, for all but traces, which
// are frequent.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelDebug || h.log.traces
}

// Handle queues a record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	h.log.queue.Put(func() { handle(h.behind(), r) }, 1)
	return nil
}

// WithAttrs adds attributes to all later records.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.log, sync.OnceValue(func() slog.Handler { return h.behind().WithAttrs(attrs) })}
}

// WithGroup puts all later attributes below a name.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.log, sync.OnceValue(func() slog.Handler { return h.behind().WithGroup(name) })}
}
