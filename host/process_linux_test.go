package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/process"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

func TestN12_IdentityAndTitle(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		a, err := n.Start(ctx, spec(t, "same", "good"))
		if err != nil {
			return err
		}
		b, err := n.Start(ctx, spec(t, "same", "good"))
		if err != nil {
			return err
		}
		for _, p := range []*host.Portal{a, b} {
			id, err := whoami.Call(ctx, p, struct{}{})
			if err != nil || id != p.ID() || id.PID == 0 {
				t.Errorf("it says it is %+v, %v; the portal says %+v", id, err, p.ID())
			}
			if title := titleOf(t, id); title != id.Title() {
				t.Errorf("ps shows %q, want %q", title, id.Title())
			}
		}
		if a.ID().Is(b.ID()) {
			t.Error("two actors have one identity")
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestN06_CancelDuringStart(t *testing.T) {
	for _, role := range []string{"silent", "liar"} {
		t.Run(role, func(t *testing.T) {
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				ctx, cancel := context.WithCancelCause(ctx)
				s := spec(t, "x", role)
				canceller := task.Start(func() {
					waitForChild(t)
					cancel(errBody)
				})
				_, err := n.Start(ctx, s)
				canceller.Wait()
				return err
			})
			if err != errBody { //nolint:errorlint // the very same
				t.Fatalf("got %v", err)
			}
		})
	}
}

// titleOf is what ps shows for an actor.
func titleOf(t testing.TB, id actor.ID) string {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
	if err != nil {
		t.Fatal(err)
	}
	title, _, _ := strings.Cut(string(line), "\x00")
	return title
}

// waitForChild returns when this process has a child: the fork has happened. The
// system offers no event for that, so it looks again and again.
func waitForChild(t testing.TB) {
	t.Helper()
	for t.Context().Err() == nil {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Error(err)
			return
		}
		for _, task := range tasks {
			if kids, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children"); err == nil && strings.TrimSpace(string(kids)) != "" {
				return
			}
		}
		runtime.Gosched()
	}
}

// go-plugin makes a directory for the sockets of each start, and leaves it if no
// process comes of it.
func TestN06_AStartWithoutAProcessLeavesNoDirectory(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		if _, err := n.Start(ctx, host.Spec{Name: "nobody", Command: []string{"no-such-program-here"}}); err == nil {
			return errors.New("a program that does not exist was started")
		}
		dir, err := process.RuntimeDir()
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) != 1 { // the lock
			err = fmt.Errorf("the failed start has left %v", entries)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
