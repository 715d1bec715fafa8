package dialog

import "context"

// Scope opens a dialog and runs body with it, as package contract does in two steps.
func (t *Table) Scope(ctx context.Context, r *Request, body func(ctx context.Context, d *Dialog) error) error {
	d, err := t.Open(ctx, r)
	if err != nil {
		return err
	}
	return d.Scope(body)
}

// Exhaust makes the table believe that other streams have all that its link's may have, and
// that so many bytes wait beyond their windows.
func (t *Table) Exhaust(beyond int) {
	t.quota.lent.Store(mostLent)
	t.quota.beyond.Store(int64(beyond))
}

// Free is its opposite.
func (t *Table) Free() {
	t.quota.lent.Store(0)
	t.quota.beyond.Store(0)
}

// Spent is what its streams have of it.
func (t *Table) Spent() (lent, beyond int) {
	return int(t.quota.lent.Load()), int(t.quota.beyond.Load())
}

// What is left then, and what may wait beyond.
const (
	MostBeyond      = mostBeyond
	GuaranteedBytes = 16 << 10
)

// Delay makes the end of the task's ctx wait for gate, as if the goroutine that cancels it came late.
func (d *Dialog) Delay(gate <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx.Done() // for a callee, there is nothing to cancel before
	cancel := d.cancel
	d.cancel = func(cause error) { <-gate; cancel(cause) }
}

// OnReader reports whether the dialog's task runs on the goroutine that reads.
func (d *Dialog) OnReader() bool {
	t := d.turn.Load()
	return t != nil && t.Holds()
}

// BegunOnReader reports whether its task was begun on the goroutine that read then. On a machine
// that is slow, another one may read before the task's first line.
func (d *Dialog) BegunOnReader() bool { return d.turn.Load() != nil }

// Made reports whether a task's ctx can be cancelled by now.
func Made(ctx context.Context) bool {
	c, ok := ctx.(*taskContext)
	return ok && c.made.Load()
}
