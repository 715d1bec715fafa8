package host

import (
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/dialog"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// sticks tells of a task of the child that was told to end and has not in time.
func (c *child) sticks(s dialog.StuckTask) {
	c.seat.n.update(func() {
		c.seat.tell(Event{To: c.seat.state, Stuck: s.Endpoint, Reason: fmt.Sprintf("its task of %q was told to end and goes on", s.Endpoint)})
	})
	select {
	case c.stuck <- struct{}{}:
	default: // the watch looks again in any case
	}
}

// watchStuck ends the child, if its spec says so, when a task of it has been stuck for
// its grace: what does not end by consent ends by force. The worker ends when the child
// is being ended.
func (c *child) watchStuck() *task.Worker {
	return task.Start(func() {
		if c.spec.Stuck != config.RestartWhenStuck {
			return
		}
		grace := graceOf(c.spec)
		for {
			var due <-chan time.Time
			if stuck := c.table.Stuck(); len(stuck) > 0 {
				oldest := stuck[0]
				since := time.Since(oldest.Since)
				if since >= grace {
					failure := &fault.ActorStuck{ID: c.id, Endpoint: oldest.Endpoint, For: since.Round(time.Millisecond)}
					c.sick <- sickness{Stuck, fmt.Sprintf("its task of %q goes on", oldest.Endpoint), failure, true}
					return
				}
				due = time.After(grace - since)
			}
			select {
			case <-due:
			case <-c.stuck:
			case <-c.ending:
				return
			}
		}
	})
}
