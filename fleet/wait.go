package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/seed-2ba35074/trellis/internal/task"
)

// askAgain is the pause after a registry could not be asked.
const askAgain = 200 * time.Millisecond

// WaitHold holds a name as soon as nobody else does, and returns its epoch. While it waits it calls held, which may be
// nil, with each other holder, once. A registry that cannot be asked is asked again. It ends with the cause of ctx,
// with the [*LostError] of the membership, or with what else Hold and Watch fail with.
func WaitHold(ctx context.Context, r Registry, m Membership, name string, held func(Entry)) (uint64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := task.Start(func() {
		select {
		case <-m.Lost():
			cancel(m.Err())
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel(nil)
	told := uint64(0)
	for change, err := range r.Watch(ctx, name) {
		if err != nil {
			return 0, err
		}
		if change.Kind != Current && (change.Kind != Released || change.Name != name) {
			continue
		}
		epoch, err := holdSoon(ctx, m, name)
		other, taken := errors.AsType[*HeldError](err)
		if !taken {
			return epoch, err
		}
		if held != nil && other.Epoch != told {
			told = other.Epoch
			held(other.Entry)
		}
	}
	return 0, context.Cause(ctx)
}

// holdSoon is Hold, again and again while the registry cannot be asked.
func holdSoon(ctx context.Context, m Membership, name string) (uint64, error) {
	for {
		epoch, err := m.Hold(ctx, name)
		if !errors.Is(err, ErrUnavailable) {
			return epoch, err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// WaitJoin joins as soon as no earlier membership has the name, as that of an earlier process of the same host whose lease is not
// over yet. A registry that cannot be asked is asked again. It ends with the cause of ctx, or with what else Join fails with.
func WaitJoin(ctx context.Context, r Registry, h Host) (Membership, error) {
	for {
		m, err := r.Join(ctx, h)
		if _, held := errors.AsType[*HeldError](err); err == nil || (!held && !errors.Is(err, ErrUnavailable)) {
			return m, err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}
