package flow_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/lab/pair"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

// T4: P10: whoever waits for a task that calls runtime.Goexit goes on, and hears of it.
func TestT4_P10_GoexitInAShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opens := flow.Shared[string, int]{Open: func(context.Context, string, func(context.Context, int) error) error {
			runtime.Goexit()
			return nil
		}}
		if err := opens.Use(t.Context(), "", func(context.Context, int) error { return nil }); !errors.Is(err, fault.ErrGoexit) {
			t.Errorf("Open: %v", err)
		}
		closed := 0
		uses := flow.Shared[string, int]{Open: func(ctx context.Context, _ string, use func(context.Context, int) error) error {
			defer func() { closed++ }()
			return use(ctx, 0)
		}}
		task.Start(func() {
			_ = uses.Use(t.Context(), "", func(context.Context, int) error { runtime.Goexit(); return nil })
		}).Wait()
		if err := uses.Use(t.Context(), "", func(context.Context, int) error { return nil }); err != nil || closed != 2 {
			t.Errorf("after a user that is gone: %v, closed %d times", err, closed)
		}
	})
}

func TestT4_P10_GoexitInAProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		news := contract.Source[flow.Topics, flow.Publication[int]]("news")
		p := pair.Serve(t, flow.Publish(news, 0, func(context.Context, func(string, int)) error { runtime.Goexit(); return nil }))
		for _, err := range news.Stream(t.Context(), p, flow.Topics{}) {
			if !errors.Is(err, fault.ErrGoexit) {
				t.Errorf("the subscriber: %v", err)
			}
		}
	})
}

func TestT4_P10_GoexitInOpenAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		e := contract.Context[struct{}, struct{}, int, int, int]("many")
		p := pair.Serve(t, e.Handle(func(ctx context.Context, _ struct{}, c *contract.Callee[struct{}, int, int]) (int, error) {
			if err := c.Started(struct{}{}); err != nil {
				return 0, err
			}
			<-ctx.Done()
			ended++
			return 0, ctx.Err()
		}))
		task.Start(func() {
			_, _ = flow.OpenAll(t.Context(), e, []flow.Target[struct{}]{{Portal: p}}, func(context.Context, []*contract.Opener[struct{}, int, int, int]) error {
				runtime.Goexit()
				return nil
			})
		}).Wait()
		if ended != 1 {
			t.Errorf("OpenAll ended before its contexts")
		}
	})
}
