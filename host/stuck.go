package host

import (
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// onStuckTask tells of a task of the child that was told to end and has not in time.
func (i *incarnation) onStuckTask(s dialog.StuckTask) {
	i.child.n.update(func() {
		i.child.record(Event{To: i.child.state, Stuck: s.Endpoint, Reason: fmt.Sprintf("its task of %q was told to end and goes on", s.Endpoint)})
	})
	select {
	case i.stuck <- struct{}{}:
	default: // the watch looks again in any case
	}
}

// watchStuck ends the child, if its spec says so, when a task of it has been stuck for
// its grace: what does not end by consent ends by force. The worker ends when the child
// is being ended.
func (i *incarnation) watchStuck() *task.Worker {
	return task.Start(func() {
		if i.spec.Stuck != config.RestartWhenStuck {
			return
		}
		grace := graceOf(i.spec)
		for {
			var due <-chan time.Time
			if stuck := i.table.Stuck(); len(stuck) > 0 {
				oldest := stuck[0]
				since := time.Since(oldest.Since)
				if since >= grace {
					failure := &fault.ActorStuck{ID: i.id, Endpoint: oldest.Endpoint, For: since.Round(time.Millisecond)}
					i.unwell <- unwell{Stuck, fmt.Sprintf("its task of %q goes on", oldest.Endpoint), failure, true}
					return
				}
				due = time.After(grace - since)
			}
			select {
			case <-due:
			case <-i.stuck:
			case <-i.ending:
				return
			}
		}
	})
}
