package host_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// TestF07_HealthEndpointThatIsNotServed: the host knows the endpoints at boot.
func TestF07_HealthEndpointThatIsNotServed(t *testing.T) {
	for endpoint, want := range map[string]string{"ecko": "is not exposed", "numbers": "is a source"} {
		a, b := spec(t, "a", "good"), spec(t, "b", "good")
		a.Restart, a.Health.Endpoint = config.Transient, endpoint
		b.DependsOn = map[string]config.Condition{"a": config.Healthy}
		err := host.OpenTree(t.Context(), host.Options{}, []host.Spec{a, b}, func(context.Context, *host.Tree) error {
			t.Error("the tree came up")
			return nil
		})
		start, ok := errors.AsType[*host.StartError](err)
		if !ok || !start.Lasting || start.Actor != "a" || start.Stage != "boot" || !errors.Is(err, fault.ErrNotExposed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", endpoint, err)
		}
	}
}

// TestF07_ProgramThatIsGone: no restart can bring it back, whatever the strategy and
// however many restarts are allowed.
func TestF07_ProgramThatIsGone(t *testing.T) {
	for _, strategy := range []config.Strategy{config.OneCancelsAll, config.OneForOne, config.OneForAll} {
		s := restarting(t, "gone", config.Permanent)
		link := filepath.Join(t.TempDir(), "program")
		if err := os.Symlink(s.Command[0], link); err != nil {
			t.Fatal(err)
		}
		s.Command = []string{link}
		_, err := open(t, host.Options{Supervision: config.Supervision{Strategy: strategy, MaxRestarts: 1000}}, func(ctx context.Context, n *host.Nursery) error {
			p := startAll(ctx, t, n, s)[0]
			if err := os.Remove(link); err != nil {
				return err
			}
			kill(t, p, syscall.SIGKILL)
			<-ctx.Done()
			return ctx.Err()
		})
		start, ok := errors.AsType[*host.StartError](err)
		if !ok || !start.Lasting || start.Stage != "program" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v", strategy, err)
		}
	}
}
