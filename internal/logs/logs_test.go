package logs_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/logs"
)

// What is logged is what would have been logged without the queue, in order.
func TestQueueHandsOnWhatItGets(t *testing.T) {
	var direct, queued bytes.Buffer
	handler := func(b *bytes.Buffer) *slog.Logger {
		return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	}
	q := logs.New(handler(&queued))
	for _, log := range []*slog.Logger{handler(&direct), q.Logger()} {
		log.Info("one", "n", 1)
		log.Debug("not enabled")
		log.With("actor", "a").Warn("two", "n", 2)
		log.With("actor", "a").WithGroup("g").Error("three", "n", 3)
		log.WithGroup("g").With("b", 1).WithGroup("h").Error("four", "n", 4)
	}
	<-q.Idle()
	if direct.String() != queued.String() {
		t.Errorf("got\n%swant\n%s", queued.String(), direct.String())
	}
}

// slow is a handler that waits.
type slow struct {
	slog.Handler
	until         chan struct{}
	handled, lost atomic.Int64
}

func (h *slow) Enabled(context.Context, slog.Level) bool { return true }

func (h *slow) Handle(_ context.Context, r slog.Record) error {
	<-h.until
	if r.Message == "x" {
		h.handled.Add(1)
	}
	r.Attrs(func(a slog.Attr) bool { h.lost.Add(a.Value.Int64()); return true }) // of a record that tells of a loss
	return nil
}

// N19: a handler that does not return holds up nobody, and costs no more than the queue.
func TestN19_AHandlerThatWaitsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{Handler: slog.DiscardHandler, until: make(chan struct{})}
		q := logs.New(slog.New(h))
		log := q.Logger()
		const all = 20_000
		for range all {
			log.Info("x")
		}
		synctest.Wait()
		close(h.until)
		<-q.Idle()
		if n, lost := h.handled.Load(), h.lost.Load(); n > 10_000 || n+lost != all {
			t.Errorf("%d were handled and %d dropped, of %d", n, lost, all)
		}
	})
}
