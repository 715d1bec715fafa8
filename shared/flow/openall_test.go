package flow_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

var square = contract.Context[int, int, none, none, int]("square")

// doSquare starts at once for numbers above zero, fails for zero, and runs until it
// is cancelled below.
func doSquare(ctx context.Context, n int, c *contract.Callee[int, none, none]) (int, error) {
	if n == 0 {
		return 0, fs.ErrNotExist
	}
	if err := c.Started(n); err != nil {
		return 0, err
	}
	if n < 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return n * n, nil
}

type squareOpener = contract.Opener[int, none, none, int]

func targets(p contract.Portal, numbers ...int) []flow.Target[int] {
	var all []flow.Target[int]
	for _, n := range numbers {
		all = append(all, flow.Target[int]{Portal: p, Args: n})
	}
	return all
}

func TestOpenAllGivesAllResultsInOrder(t *testing.T) {
	p := pair.Serve(t, square.Handle(doSquare))
	got, err := flow.OpenAll(t.Context(), square, targets(p, 1, 2, 3), func(_ context.Context, all []*squareOpener) error {
		for i, c := range all {
			if c.Value() != i+1 {
				t.Errorf("context %d started with %d", i, c.Value())
			}
		}
		return nil
	})
	if err != nil || len(got) != 3 || got[0] != 1 || got[1] != 4 || got[2] != 9 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOpenAllOfNobodyIsAnError(t *testing.T) {
	if _, err := flow.OpenAll(t.Context(), square, nil, nil); !errors.Is(err, flow.ErrNoTargets) {
		t.Errorf("got %v", err)
	}
}

func TestOpenAllOneFailureCancelsTheOthers(t *testing.T) {
	p := pair.Serve(t, square.Handle(doSquare))
	_, err := flow.OpenAll(t.Context(), square, targets(p, -1, 0, -2), func(_ context.Context, _ []*squareOpener) error {
		t.Error("body ran though one never started")
		return nil
	})
	if remote, ok := err.(*fault.RemoteError); !ok || !errors.Is(remote, fs.ErrNotExist) { //nolint:errorlint // one failure is returned bare
		t.Errorf("got %T %v", err, err)
	}
}

func TestOpenAllBodyFailureCancelsAll(t *testing.T) {
	p := pair.Serve(t, square.Handle(doSquare))
	_, err := flow.OpenAll(t.Context(), square, targets(p, -1, -2), func(context.Context, []*squareOpener) error { return errUser })
	if err != errUser { //nolint:errorlint // the very same
		t.Errorf("got %v", err)
	}
}

func TestOpenAllCallerIsCancelled(t *testing.T) {
	p := pair.Serve(t, square.Handle(doSquare))
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := flow.OpenAll(ctx, square, targets(p, -1, -2), func(ctx context.Context, _ []*squareOpener) error {
		cancel(errUser)
		<-ctx.Done()
		return ctx.Err()
	})
	if err != errUser { //nolint:errorlint // the very same
		t.Errorf("got %v", err)
	}
}
