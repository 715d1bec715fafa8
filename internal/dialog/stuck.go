package dialog

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// StuckTask is a task at the other end of the link that was told to end and has not, within the
// cancel bound. Its opener finds that, or the last relay. The table remembers it until the task's
// ending comes or the link is lost, also when the opener's deadline has cut the dialog before:
// the task still runs then, and a supervisor may want to end its actor.
type StuckTask struct {
	Endpoint string
	Since    time.Time // when it was found to be stuck

	id uint64
}

// mostStuck bounds how many stuck tasks are remembered; further ones are counted only. It is the
// default limit on dialogs, so a peer with so many runs hardly anything else.
const mostStuck = 4096

// stick notes that the callee is stuck, until it ends. The log and Config.Stuck are called
// without a lock, by whoever waits for the callee; of several who do, only the first tells.
func (d *Dialog) stick() {
	if task, news := d.becomesStuck(); news {
		d.table.tellStuck(task)
	}
}

func (t *Table) tellStuck(s StuckTask) {
	t.log().Warn("a task was told to end and goes on", "peer", t.Peer().String(), "endpoint", s.Endpoint)
	if tell := t.cfg.Stuck; tell != nil {
		tell(s)
	}
}

// becomesStuck marks the callee as stuck; news is false if there is nothing to tell. The
// runtime's own endpoints are left out: they take as long as the actor's tasks need to end. So are tasks of
// others than the peer, whose own host finds them (relay.watch).
func (d *Dialog) becomesStuck() (s StuckTask, news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stuck || d.done || d.callee || d.far != nil || d.runtime() {
		return s, false
	}
	d.stuck = true
	s = StuckTask{Endpoint: d.endpoint, Since: time.Now(), id: d.id}
	return s, d.table.addStuck(s)
}

// addStuck reports false if the link is gone: the task ends with its actor, and no frame would
// ever say so. The counter goes on even when the list is full.
func (t *Table) addStuck(s StuckTask) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost != nil {
		return false
	}
	t.counters.stuck.Add(1)
	if len(t.stuck) < mostStuck {
		t.stuck[s.id] = s
	}
	return true
}

// unstick forgets a task that has ended after all.
func (t *Table) unstick(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.stuck, id)
}

// outlived learns from a late frame that a task which outlived its dialog has ended after all.
// The caller holds mu.
func (t *Table) outlived(f *wire.Frame) {
	if f.Kind == wire.Kind_KIND_RETURN || f.Kind == wire.Kind_KIND_ERROR {
		delete(t.stuck, f.Dialog)
	}
}

// Stuck returns the tasks that are stuck now, those first that have been for longest.
func (t *Table) Stuck() []StuckTask {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.stuck), func(a, b StuckTask) int { return a.Since.Compare(b.Since) })
}

// Unacked is an [fault.ErrCancelUnacked] or [fault.ErrActorTooSlow] that says who did not
// answer within which bound.
func Unacked(sentinel error, peer actor.ID, bound time.Duration) error {
	return fmt.Errorf("%w: %s did not end within %v", sentinel, peer, bound)
}
