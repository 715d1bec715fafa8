package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
)

func init() {
	role("no cgroups", func() {
		log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
		try(host.OpenNursery(context.Background(), host.Options{Log: log}, func(ctx context.Context, n *host.Nursery) error {
			for range 2 {
				if _, err := n.Start(ctx, ownSpec("free")); err != nil {
					return err
				}
			}
			limited := ownSpec("limited")
			limited.Limits.Memory = 512 * config.MiB
			_, err := n.Start(ctx, limited)
			fmt.Println("failed:", err)
			n.Cancel()
			return nil
		}))
		fmt.Println("all well")
	})
}

// A machine without cgroups is as good as any other, but for the limits that need
// them; what it lacks is said once.
func TestF05_NoCgroups(t *testing.T) {
	shortTemp(t)
	cmd := inRole(t, "no cgroups")
	cmd.Env = append(cmd.Env, "TRELLIS_CGROUP=off")
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || !strings.HasSuffix(text, "all well\n") {
		t.Fatalf("%v: %s", err, text)
	}
	if n := strings.Count(text, "actors get no cgroups of their own"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, text)
	}
	want := `failed: actor "limited" did not start, at its program: cannot start /proc/self/exe: ` +
		"limits.memory: this machine has no cgroup for it: TRELLIS_CGROUP is off\n"
	if !strings.Contains(text, want) {
		t.Errorf("expected %q in\n%s", want, text)
	}
}

func TestF05_ActorWithSenselessLimits(t *testing.T) {
	s := spec(t, "x", "good")
	s.Limits.OpenFiles = 3
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, s)
		return err
	})
	start, ok := errors.AsType[*host.StartError](err)
	if !ok || !strings.Contains(err.Error(), "limits.open_files: expected at least 32") {
		t.Errorf("got %v, %+v", err, start)
	}
}

func TestF05_ActorWithinItsLimits(t *testing.T) {
	s := spec(t, "modest", "good")
	s.Limits = config.Limits{OpenFiles: 32, Core: new(config.Size(0)), CPU: config.Duration(time.Minute), FileSize: config.MiB}
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, s)
		if err == nil {
			err = answers(ctx, p)
		}
		n.Cancel()
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
