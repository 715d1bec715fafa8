package host_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// mute is an error whose methods do not answer before somebody lets them.
type mute struct{ held chan struct{} }

func (e *mute) Error() string   { <-e.held; return "mute" }
func (e *mute) Is(_ error) bool { <-e.held; return false }
func (e *mute) Unwrap() error   { <-e.held; return nil }

// R1: N19: a nursery whose ctx ends with an error that waits for the nursery's end still
// ends its children.
func TestR1_N19_ANurserysCauseMayWaitForItsEnd(t *testing.T) {
	e := &mute{make(chan struct{})}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := make(chan struct{})
	nursery := task.Start(func() {
		err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			p, err := n.Start(ctx, spec(t, "good", "good"))
			if err != nil {
				close(gone)
				return err
			}
			cancel(e)
			<-p.Done()
			close(gone)
			return nil
		})
		if err == nil {
			t.Error("the nursery has ended well")
		}
	})
	<-gone // its children are reaped, though its cause says nothing
	close(e.held)
	nursery.Wait()
}

// waiting is a log handler that waits for what it is told of.
type waiting struct {
	slog.Handler
	until <-chan struct{}
}

func (h waiting) Handle(context.Context, slog.Record) error { <-h.until; return nil }
func (h waiting) WithAttrs([]slog.Attr) slog.Handler        { return h }

// N19: a log handler may wait for an actor's end.
func TestN19_ALogHandlerMayWaitForTheNursery(t *testing.T) {
	ended := make(chan struct{})
	log := slog.New(waiting{slog.DiscardHandler, ended})
	err := host.OpenNursery(t.Context(), host.Options{Log: log}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "good", "good"))
		if err != nil {
			return err
		}
		if got, err := echo.Call(ctx, p, "x"); err != nil || got != "x" {
			t.Errorf("the call: %q, %v", got, err)
		}
		return p.Cancel(ctx, "done")
	})
	close(ended)
	if err != nil {
		t.Error(err)
	}
}

// T4: P10: a task of a nursery that calls runtime.Goexit is a failure of the nursery, which
// ends; that a failed actor would not end the others says nothing of it.
func TestT4_P10_GoexitInANurserysTask(t *testing.T) {
	for _, strategy := range []config.Strategy{config.OneCancelsAll, config.OneForOne, config.OneForAll, config.RestForOne} {
		t.Run(string(strategy), func(t *testing.T) {
			o := host.Options{Supervision: config.Supervision{Strategy: strategy}}
			err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
				n.Go(runtime.Goexit)
				<-ctx.Done()
				return ctx.Err()
			})
			if !errors.Is(err, fault.ErrGoexit) {
				t.Errorf("the nursery: %v", err)
			}
		})
	}
}
