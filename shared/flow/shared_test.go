package flow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/flow"
)

// opening is a resource that counts how often it is open.
type opening struct {
	opens, closes atomic.Int32
	fail          error // of opening
	failClose     error
	gate          chan struct{} // opening waits for it
	closing       chan struct{} // closing waits for it
}

func (o *opening) open(ctx context.Context, _ string, use func(context.Context, *opening) error) error {
	if o.gate != nil {
		select {
		case <-o.gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if o.fail != nil {
		return o.fail
	}
	if o.opens.Add(1)-o.closes.Load() != 1 {
		return errors.New("opened twice at a time")
	}
	err := use(ctx, o)
	if o.closing != nil {
		<-o.closing
	}
	o.closes.Add(1)
	return errors.Join(err, o.failClose)
}

func shared(o *opening) *flow.Shared[string, *opening] {
	return &flow.Shared[string, *opening]{Open: o.open}
}

func TestSharedIsOpenedOnceForAllUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{}
		s := shared(o)
		var group task.Group
		leave := make(chan struct{})
		for range 5 {
			group.Go(func() {
				if err := s.Use(t.Context(), "k", func(context.Context, *opening) error { <-leave; return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if o.opens.Load() != 1 || o.closes.Load() != 0 {
			t.Errorf("%d opens, %d closes", o.opens.Load(), o.closes.Load())
		}
		close(leave)
		group.Close()
		if o.closes.Load() != 1 {
			t.Errorf("%d closes after the last user", o.closes.Load())
		}
	})
}

func TestSharedFirstUserGivesUpWhileOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{gate: make(chan struct{})}
		s := shared(o)
		ctx, cancel := context.WithCancelCause(t.Context())
		var first, second error
		a := task.Start(func() { first = s.Use(ctx, "k", func(context.Context, *opening) error { return nil }) })
		synctest.Wait()
		b := task.Start(func() { second = s.Use(t.Context(), "k", func(context.Context, *opening) error { return nil }) })
		synctest.Wait()
		cancel(errUser)
		a.Wait()
		close(o.gate)
		b.Wait()
		if first != errUser || second != nil { //nolint:errorlint // the very same
			t.Errorf("the first got %v, the second %v", first, second)
		}
	})
}

func TestSharedNobodyWaitsForAnOpeningAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{gate: make(chan struct{})}
		s := shared(o)
		ctx, cancel := context.WithCancelCause(t.Context())
		var err error
		a := task.Start(func() { err = s.Use(ctx, "k", func(context.Context, *opening) error { return nil }) })
		synctest.Wait()
		cancel(errUser)
		a.Wait()
		if err != errUser || o.opens.Load() != 0 { //nolint:errorlint // the very same
			t.Errorf("%v, %d opens", err, o.opens.Load())
		}
	})
}

func TestSharedFailureToOpenReachesEveryoneWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{fail: errUser, gate: make(chan struct{})}
		s := shared(o)
		var group task.Group
		for range 3 {
			group.Go(func() {
				if err := s.Use(t.Context(), "k", nil); !errors.Is(err, errUser) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		close(o.gate)
		group.Close()
	})
}

func TestSharedFailureToCloseReachesTheLastUser(t *testing.T) {
	o := &opening{failClose: errUser}
	s := shared(o)
	err := s.Use(t.Context(), "k", func(ctx context.Context, _ *opening) error {
		return s.Use(ctx, "k", func(context.Context, *opening) error { return nil }) // not the last
	})
	if !errors.Is(err, errUser) {
		t.Errorf("the last user got %v", err)
	}
}

func TestSharedNewUserDuringTheCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening{closing: make(chan struct{})}
		s := shared(o)
		use := func() {
			if err := s.Use(t.Context(), "k", func(context.Context, *opening) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		a := task.Start(use)
		synctest.Wait() // a closes
		b := task.Start(use)
		synctest.Wait()
		if o.opens.Load() != 1 {
			t.Errorf("%d opens while the first one is being closed", o.opens.Load())
		}
		close(o.closing)
		a.Wait()
		b.Wait()
		if o.opens.Load() != 2 || o.closes.Load() != 2 {
			t.Errorf("%d opens, %d closes", o.opens.Load(), o.closes.Load())
		}
	})
}

// R5: an Open that calls nobody and says that all is well has not run f, and that is told.
func TestSharedWhoseOpenForgetsToUse(t *testing.T) {
	s := flow.Shared[string, int]{Open: func(context.Context, string, func(context.Context, int) error) error { return nil }}
	err := s.Use(t.Context(), "key", func(context.Context, int) error {
		t.Error("f ran")
		return nil
	})
	if err == nil {
		t.Error("Use says that f has run well")
	}
}
