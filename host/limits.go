package host

import (
	"log/slog"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// receiving is how an actor receives that has these settings.
func receiving(s config.Streams) dialog.Receiving {
	return dialog.Receiving{
		Window:       dialog.Window{Messages: s.Messages, Bytes: int(s.Bytes), Most: s.Most},
		ReadyTimeout: time.Duration(s.ReadyTimeout),
	}
}

var cgroupsNoted sync.Once

// noteCgroups says once in the life of a program that its actors have no cgroups,
// and what that means.
func noteCgroups(log *slog.Logger) {
	cgroupsNoted.Do(func() {
		if _, err := rundir.Cgroup(); err != nil {
			log.Debug("actors get no cgroups of their own: what leaves their process groups outlives them", "reason", err)
		}
	})
}
