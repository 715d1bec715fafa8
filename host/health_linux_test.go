package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func TestV07_StoppedProcessIsReplaced(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := restarting(t, "a", config.Permanent)
		s.Health, s.TermTimeout = quickHealth, config.Duration(10*time.Millisecond)
		p := startAll(ctx, t, n, s)[0]
		called := hold(ctx, n, forever, p)
		old := kill(t, p, syscall.SIGSTOP)
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
}

// TestV07_OwnEndpointAddsToTheChecks: a plugin that says itself that it is unwell
// is asked to end first, and then replaced.
func TestV07_OwnEndpointAddsToTheChecks(t *testing.T) {
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := restarting(t, "a", config.Permanent)
		s.Health, s.Env[roleVar] = quickHealth, "checked"
		s.Health.Endpoint = wellness.Name()
		p := startAll(ctx, t, n, s)[0]
		old := p.ID()
		if _, err := sicken.Call(ctx, p, none{}); err != nil {
			return err
		}
		successor(ctx, t, p, old)
		ended := await(ctx, t, "its end", func(e host.Event) bool { return e.To == host.Reaped && e.Actor.Is(old) })
		if ended.Cause != host.Sick || !strings.Contains(ended.Err.Error(), "I feel unwell") {
			t.Errorf("got %v: %v", ended, ended.Err)
		}
		n.Cancel()
		return nil
	})
	if err != nil || strings.Contains(log.String(), "teardown goes on") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestV09_HealthyBeforeDependentsStart(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	db, app := spec(t, "db", "checked"), spec(t, "app", "good")
	db.Health, db.Env[gateVar] = quickHealth, gate
	db.Health.Endpoint, db.Health.Failures = gated.Name(), 1000
	app.DependsOn = map[string]config.Condition{"db": config.Healthy}
	ctx := host.WithEvents(t.Context())
	var order []string
	err := host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		n.Go(func() {
			await(ctx, t, "db unhealthy", func(e host.Event) bool { return e.To == host.Unhealthy })
			order = append(order, "opened")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
		})
		return host.OpenTree(ctx, host.Options{}, []host.Spec{app, db}, func(context.Context, *host.Tree) error {
			order = append(order, "up")
			return nil
		})
	})
	if err != nil || !slices.Equal(order, []string{"opened", "up"}) {
		t.Errorf("%v, %v", order, err)
	}
}

// An actor whose checks are off keeps nobody waiting.
func TestV09_HealthyOfAnActorWithoutChecks(t *testing.T) {
	db, app := spec(t, "db", "good"), spec(t, "app", "good")
	db.Health.Off = true
	app.DependsOn = map[string]config.Condition{"db": config.Healthy}
	err := host.OpenTree(t.Context(), host.Options{}, []host.Spec{app, db}, func(context.Context, *host.Tree) error { return nil })
	if err != nil {
		t.Error(err)
	}
}
