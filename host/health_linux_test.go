package host_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestV07_StoppedProcessIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			s := plug("a", "good")
			s.Restart, s.Backoff = config.Permanent, soon
			p := startAll(ctx, t, n, s)[0]
			called := hold(ctx, n, forever, p)
			old := p.ID()
			processOf(ctx, p).Freeze()
			sick, ok := errors.AsType[*fault.ActorUnhealthy](<-called)
			if !ok || !sick.ID.Is(old) || sick.Checks != 3 {
				t.Errorf("the call got %+v", sick)
			}
			successor(ctx, t, p, old)
			n.Cancel()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestV07_OwnEndpointAddsToTheChecks: a plugin that says itself that it is unwell
// is asked to end first, and then replaced.
func TestV07_OwnEndpointAddsToTheChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := here(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
			s := plug("a", "checked")
			s.Restart, s.Backoff = config.Permanent, soon
			s.Health.Endpoint = wellness.Name()
			p := startAll(ctx, t, n, s)[0]
			old := p.ID()
			if _, err := sicken.Call(ctx, p, none{}); err != nil {
				return err
			}
			ended := await(ctx, t, "its end", func(e directory.Event) bool { return e.To == directory.Reaped && e.Actor.Is(old) })
			if ended.Cause != directory.Sick || !strings.Contains(ended.Err.Error(), "I feel unwell") {
				t.Errorf("got %v: %v", ended, ended.Err)
			}
			successor(ctx, t, p, old)
			n.Cancel()
			return nil
		})
		if err != nil || strings.Contains(log.String(), "teardown goes on") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

func TestV09_HealthyBeforeDependentsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, app := plug("db", "checked"), plug("app", "good")
		db.Health.Endpoint, db.Health.Failures = gated.Name(), 1000
		app.DependsOn = map[string]config.Condition{"db": config.Healthy}
		var opened atomic.Bool
		programs := trellistest.NewPrograms(t, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()},
			trellistest.Plugin{Name: "checked", Endpoints: []contract.Handler{gated.Handle(func(context.Context, none) (n none, err error) {
				if !opened.Load() {
					err = errBody
				}
				return n, err
			})}})
		time.AfterFunc(10*time.Minute, func() { opened.Store(true) })
		tree := programs.Open(host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{app, db})
		for _, e := range tree.Events() {
			if e.Actor.Name == "app" && e.To == directory.Starting && e.Time.Sub(tree.Events()[0].Time) < 10*time.Minute {
				t.Errorf("it was started too early: %v", e)
			}
		}
		if _, err := echo.Call(t.Context(), tree.Portal("app"), "x"); err != nil {
			t.Error(err)
		}
	})
}

// An actor whose checks are off keeps nobody waiting.
func TestV09_HealthyOfAnActorWithoutChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, app := plug("db", "good"), plug("app", "good")
		db.Health.Off = true
		app.DependsOn = map[string]config.Condition{"db": config.Healthy}
		tree := trellistest.Host(t, config.Tree{Actors: []config.Actor{app, db}}, trellistest.Plugin{Name: "good", Endpoints: goodEndpoints()})
		tree.WantEvents(trellistest.Started("db"), trellistest.Started("app"))
	})
}
