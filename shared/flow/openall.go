package flow

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/panics"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Target is one of the contexts that OpenAll opens.
type Target[Args any] struct {
	Portal contract.Portal
	Args   Args
}

// ErrNoTargets is what OpenAll returns for an empty list: a group of nobody is
// most often a mistake.
var ErrNoTargets = errors.New("OpenAll without targets")

// OpenAll opens a context of the endpoint in each target, at the same time, runs body when
// all of them have started, and returns when all have ended: with their results in the
// order of the targets. If one of them or body fails, the others are cancelled; the
// failures are returned, more than one as a [*fault.Group]. That a context was
// cancelled for another one's failure is not a failure.
func OpenAll[Args, Started, In, Out, Result any](ctx context.Context, e contract.ContextEndpoint[Args, Started, In, Out, Result],
	targets []Target[Args], body func(ctx context.Context, all []*contract.Opener[Started, In, Out, Result]) error,
) ([]Result, error) {
	if len(targets) == 0 {
		return nil, ErrNoTargets
	}
	var group task.Group
	defer group.Close() // again only if body called runtime.Goexit
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := &gathering[contract.Opener[Started, In, Out, Result]]{
		opened: make([]*contract.Opener[Started, In, Out, Result], len(targets)), missing: len(targets),
		complete: make(chan struct{}), leave: make(chan struct{}), cancel: cancel,
	}
	results := make([]Result, len(targets))
	for i, t := range targets {
		group.Go(func() {
			var err error
			results[i], err = e.Open(ctx, t.Portal, t.Args, func(ctx context.Context, c *contract.Opener[Started, In, Out, Result]) error {
				return g.enter(ctx, i, c)
			})
			g.fail(ctx, err)
		})
	}
	err := g.run(ctx, body)
	group.Close()
	panics.Rethrow(err)
	if err := fault.Join(g.failures...); err != nil {
		return nil, err
	}
	return results, nil
}

// gathering is a group of contexts that are open together.
type gathering[O any] struct {
	complete chan struct{} // all have started
	leave    chan struct{} // body has ended well
	cancel   context.CancelCauseFunc

	mu       sync.Mutex
	opened   []*O
	missing  int
	failures []error
}

// enter is one context's scope function: it lasts as long as the group.
func (g *gathering[O]) enter(ctx context.Context, i int, c *O) error {
	g.mu.Lock()
	g.opened[i] = c
	g.missing--
	if g.missing == 0 {
		close(g.complete)
	}
	g.mu.Unlock()
	select {
	case <-g.leave:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run runs body once all have started.
func (g *gathering[O]) run(ctx context.Context, body func(ctx context.Context, all []*O) error) error {
	select {
	case <-g.complete:
	case <-ctx.Done():
		return nil // some context tells why; if it was the caller, all of them do
	}
	err := panics.Catch(func() error { return body(ctx, g.opened) })
	if err == nil {
		close(g.leave)
		return nil
	}
	g.fail(ctx, err)
	return err
}

// fail records a failure and ends the others. What only reports that the group has
// failed is none, unless it is the first to say so.
func (g *gathering[O]) fail(ctx context.Context, err error) {
	if err == nil {
		return
	}
	e := fault.EndingOf(ctx, err)
	echo, failure := e.Echo(), e.Failure()
	g.mu.Lock()
	defer g.mu.Unlock()
	if echo && len(g.failures) > 0 {
		return
	}
	g.failures = append(g.failures, failure)
	g.cancel(failure)
}
