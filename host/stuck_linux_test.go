package host_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// stickiest is a good actor whose tasks are stuck soon.
func stickiest(t testing.TB, stuck config.WhenStuck, grace time.Duration) host.Spec {
	s := restarting(t, "a", config.Transient)
	s.Stuck, s.Grace = stuck, config.Duration(grace)
	s.CancelTimeout, s.TermTimeout = config.Duration(10*time.Millisecond), config.Duration(10*time.Millisecond)
	return s
}

// P13: an actor with stuck: restart that has had a stuck task for its grace is ended as
// failed, and so restarted. Whoever waits for the task goes on.
func TestP13_AStuckTaskRestartsItsActor(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		const grace = 10 * time.Millisecond
		p := startAll(ctx, t, n, stickiest(t, config.RestartWhenStuck, grace))[0]
		old := p.ID()
		called := make(chan error, 1)
		n.Go(func() {
			ctx, cancel := context.WithCancel(ctx)
			_, err := stuck.Open(ctx, p, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
				cancel()
				return ctx.Err()
			})
			called <- err
		})
		told := await(ctx, t, "a stuck task", func(e directory.Event) bool { return e.Stuck != "" })
		if told.Stuck != stuck.Name() || !told.Actor.Is(old) || told.From != directory.Ready || told.To != directory.Ready {
			t.Errorf("the event: %+v", told)
		}
		if err := <-called; !errors.Is(err, context.Canceled) {
			t.Errorf("the scope: %v", err)
		}
		ended := await(ctx, t, "its end", func(e directory.Event) bool { return e.To == directory.Reaped && e.Actor.Is(old) })
		failure, ok := errors.AsType[*fault.ActorStuck](ended.Err)
		if !ok || !failure.ID.Is(old) || failure.Endpoint != stuck.Name() || failure.For < grace || ended.Cause != directory.Stuck {
			t.Errorf("the end: %+v", ended)
		}
		successor(ctx, t, p, old)
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// P13: by default an event reports the task, and the actor goes on.
func TestP13_AStuckTaskIsToldOf(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p := startAll(ctx, t, n, stickiest(t, "", time.Millisecond))[0]
		old := p.ID()
		err := callUntilStuck(ctx, p, 10*time.Millisecond)
		if !errors.Is(err, fault.ErrCancelUnacked) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call: %v", err)
		}
		await(ctx, t, "a stuck task", func(e directory.Event) bool { return e.Stuck == stuckForEver.Name() && e.Actor.Is(old) })
		table, err := p.Table(ctx)
		if err != nil {
			return err
		}
		if all := table.Stuck(); len(all) != 1 || table.Stats().Stuck != 1 {
			t.Errorf("%v are stuck, %d in all", all, table.Stats().Stuck)
		}
		if id, err := whoami.Call(ctx, p, none{}); err != nil || !id.Is(old) {
			t.Errorf("the next call: %v, %v", id, err)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// callUntilStuck calls the endpoint that never returns with a limit, and again with a longer
// one if that was over before the task had begun.
func callUntilStuck(ctx context.Context, p *host.Portal, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := stuckForEver.Call(limited, p, none{})
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, fault.ErrCancelUnacked) {
		return callUntilStuck(ctx, p, 2*limit)
	}
	return err
}
