package logs

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// mostQueued bounds the records that wait for their handler; later ones are dropped
// and counted.
const mostQueued = 4096

// Log is a log handler behind a [Queue].
type Log struct {
	handler slog.Handler
	traces  bool // the handler took records below debug when the queue was made
	queue   *Queue[slog.Record]
}

// New makes a queue before the handler of log.
func New(log *slog.Logger) *Log {
	l := &Log{handler: log.Handler(), traces: log.Enabled(context.Background(), slog.LevelDebug-1)}
	l.queue = NewQueue(mostQueued, l.handle, l.lost)
	return l
}

// Logger writes to the queue, and returns at once.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// Idle is closed when all that was logged so far has been handled. Whoever waits for it needs
// a bound: a handler may wait for them.
func (l *Log) Idle() <-chan struct{} { return l.queue.Idle() }

func (l *Log) handle(r slog.Record) {
	if ctx := context.Background(); l.handler.Enabled(ctx, r.Level) {
		_ = l.handler.Handle(ctx, r) // a handler's failure has nowhere to go
	}
}

func (l *Log) lost(dropped int) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were dropped: their handler is too slow", 0)
	r.AddAttrs(slog.Int("dropped", dropped))
	l.handle(r)
}

// handler is the near end of a queue. What it is given with With goes along with each
// record, so that nothing of the handler behind is called here.
type handler struct {
	log   *Log
	attrs []slog.Attr
	group string // all attributes that come later are below it
}

// Enabled leaves the decision to the goroutine that handles, for all but traces, which
// are frequent.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelDebug || h.log.traces
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
	h.log.queue.Put(all, 1)
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
