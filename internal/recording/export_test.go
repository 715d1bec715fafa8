package recording

import (
	"io"
	"log/slog"

	"github.com/seed-2ba35074/trellis/internal/link"
)

// NewSmall makes a recorder with bounds of its own.
func NewSmall(w io.Writer, name string, log *slog.Logger, waiting, most int) *Recorder {
	r := New(w, name, log)
	r.limits = limits{waiting, most, waiting}
	return r
}

// Idle is closed when nothing waits to be written.
func (r *Recorder) Idle() <-chan struct{} { return r.queue.Idle() }

// Finish is Close without its bound of time, which a busy machine would reach.
func (r *Recorder) Finish() {
	r.end(event{})
	<-r.queue.Idle()
}

// Known is of how many dialogs it is known that they are in JSON. The recorder must be idle.
func Known(t link.Transport) int { return len(t.(*tap).json) }
