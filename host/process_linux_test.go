package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/rundir"
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

func init() {
	// A good handshake line, and somebody behind it who accepts and never answers.
	role("mute", func() {
		socket, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute"))
		try(err)
		fmt.Printf("1|1|unix|%s|grpc|\n", socket.Addr())
		var held []net.Conn
		for {
			conn, err := socket.Accept()
			try(err)
			held = append(held, conn)
			fmt.Fprintln(os.Stderr, "holding", len(held))
		}
	})
}

func TestN06_CancelDuringStart(t *testing.T) {
	for _, role := range []string{"silent", "mute", "hangs in boot"} {
		// Right after the fork, and when it has come to where it hangs.
		for _, later := range []time.Duration{0, 100 * time.Millisecond} {
			t.Run(fmt.Sprint(role, " ", later), func(t *testing.T) {
				_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
					ctx, cancel := context.WithCancelCause(ctx)
					s := spec(t, "x", role)
					s.Actors = []host.Spec{spec(t, "never-started", "good")}
					canceller := task.Start(func() {
						waitForChild(t)
						<-time.After(later)
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
}

// A start that is given up at any moment either has succeeded or fails with the
// reason for giving up, and with nothing else; nothing is left of it.
func TestN06_CancelAtAnyMoment(t *testing.T) {
	var up, gaveUp int
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		for i := range 40 {
			started, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(time.Duration(i)*time.Millisecond, func() { cancel(errBody) })
			p, err := n.Start(started, spec(t, "x", "good"))
			timer.Stop()
			cancel(nil)
			switch err {
			case nil:
				up++
				if err := p.Cancel(ctx, "done"); err != nil {
					t.Error(err)
				}
				<-p.Done()
			case errBody: //nolint:errorlint // the very same
				gaveUp++
			default:
				t.Errorf("given up after %d ms: %v", i, err)
			}
			if left := childrenLeft(t); len(left) > 0 {
				t.Errorf("given up after %d ms, and left: %v", i, left)
			}
		}
		return nil
	})
	if err != nil || gaveUp == 0 || up+gaveUp != 40 {
		t.Errorf("%d up, %d given up, %v", up, gaveUp, err)
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
	for t.Context().Err() == nil && len(childrenLeft(t)) == 0 {
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
		dir, err := rundir.Open()
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
