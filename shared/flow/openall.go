package flow

import (
	"context"
	"errors"

	"github.com/seed-2ba35074/trellis/internal/task"
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
	opened := make([]*contract.Opener[Started, In, Out, Result], len(targets))
	results := make([]Result, len(targets))
	started := make(chan struct{}, len(targets)) // one for each that has
	leave := make(chan struct{})                 // closed when body has ended well
	err := contract.OpenGroup(ctx, func(ctx context.Context, group *contract.Group) error {
		for i, t := range targets {
			group.Go(func(ctx context.Context) (err error) {
				results[i], err = e.Open(ctx, t.Portal, t.Args, func(ctx context.Context, c *contract.Opener[Started, In, Out, Result]) error {
					opened[i] = c
					started <- struct{}{}
					return task.Await(ctx, leave) // it lasts as long as the group
				})
				return err
			})
		}
		for range targets {
			if task.Await(ctx, started) != nil {
				return nil //nolint:nilerr // some context tells why; if it was the caller, all of them do
			}
		}
		err := body(ctx, opened)
		if err == nil {
			close(leave)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}
