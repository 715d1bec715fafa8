package dialog

import "context"

// wake lets everyone who waits look again.
func (d *Dialog) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	d.rouse()
}

// wakeListed is wake for a dialog that has left a list of its table, where it had a mark.
func (d *Dialog) wakeListed(mark *bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*mark = false
	d.wake()
}

// change returns a channel that is closed at the next change. It is made only when somebody waits:
// most changes find nobody who does, and then cost nothing.
func (d *Dialog) change() <-chan struct{} {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

// await calls ready under the lock, now and after every change, until it reports
// true; or until ctx ends, which gives its cause.
func (d *Dialog) await(ctx context.Context, ready func() bool) error {
	for {
		d.mu.Lock()
		if ready() {
			d.mu.Unlock()
			return nil
		}
		changed := d.change()
		d.mu.Unlock()
		aboutToWait(ctx)
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look calls ready under the lock, once.
func (d *Dialog) look(ready func() bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ready()
}
