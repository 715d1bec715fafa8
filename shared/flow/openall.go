package flow

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-2ba35074/trellis/shared/contract"
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
	g := &gathering[contract.Opener[Started, In, Out, Result]]{
		opened: make([]*contract.Opener[Started, In, Out, Result], len(targets)), missing: len(targets),
		complete: make(chan struct{}), leave: make(chan struct{}),
	}
	results := make([]Result, len(targets))
	err := contract.OpenGroup(ctx, func(ctx context.Context, group *contract.Group) error {
		for i, t := range targets {
			group.Go(func(ctx context.Context) (err error) {
				results[i], err = e.Open(ctx, t.Portal, t.Args, func(ctx context.Context, c *contract.Opener[Started, In, Out, Result]) error {
					return g.enter(ctx, i, c)
				})
				return err
			})
		}
		return g.run(ctx, body)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// gathering is a group of contexts that are open together.
type gathering[O any] struct {
	complete chan struct{} // all have started
	leave    chan struct{} // body has ended well

	mu      sync.Mutex
	opened  []*O
	missing int
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
	err := body(ctx, g.opened)
	if err == nil {
		close(g.leave)
	}
	return err
}
