package host

import (
	"log/slog"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// nurseries counts the open nurseries of this process: the directory with the
// tree's sockets goes away with the last of them.
var nurseries openNurseries

type openNurseries struct {
	mu sync.Mutex
	n  int
}

func (o *openNurseries) enter() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
}

func (o *openNurseries) leave(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n > 0 {
		return
	}
	if err := rundir.Close(); err != nil {
		log.Warn("the runtime directory could not be removed; the next host tries again", "error", err)
	}
}
