package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("holds", func() { // a lock, for as long as it serves; two that do so at once are told
		sdk.Plugin{Endpoints: goodEndpoints(), Around: func(ctx context.Context, serve func(context.Context) error) error {
			name := os.Getenv("HOST_TEST_LOCK")
			lock, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				return errors.Join(err, os.WriteFile(name+".two", nil, 0o600))
			}
			return serve(ctx)
		}}.Serve()
	})
	role("owns", func() { // a holder that runs with an agent, until it is killed
		o := host.Options{Serve: "default", Fleet: &host.Fleet{Lease: testLease}}
		err := host.OpenNursery(context.Background(), o, func(ctx context.Context, n *host.Nursery) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			p, err := n.Start(ctx, host.Spec{
				Name: "holder", Command: []string{self}, On: &config.On{}, StartTimeout: config.Duration(patience),
				Env: map[string]string{roleVar: "holds", "HOST_TEST_LOCK": os.Getenv("HOST_TEST_LOCK")},
			})
			if err != nil {
				return err
			}
			fmt.Println(p.ID().PID)
			select {}
		})
		panic(err)
	})
}

const testLease = time.Second

// awaitGone returns when a process is gone.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for late := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(late) {
			t.Fatalf("process %d goes on, %v", pid, err)
		}
	}
}

func lockFile(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOST_TEST_LOCK", name)
	t.Cleanup(func() {
		if _, err := os.Stat(name + ".two"); err == nil {
			t.Error("there were two holders at once")
		}
	})
	return name
}

// D21: of an actor on another machine there are never two processes, whatever is killed or frozen. It is started elsewhere
// when the one before is certainly gone.
func TestD21_NeverTwoHolders(t *testing.T) {
	blows := map[string]func(agent *other, child int) error{
		"the agent is killed": func(agent *other, _ int) error { return agent.Process.Kill() },
		"the agent is frozen": func(agent *other, _ int) error { return agent.Process.Signal(syscall.SIGSTOP) },
		"the child is killed": func(_ *other, child int) error { return syscall.Kill(child, syscall.SIGKILL) },
		"the child is frozen": func(_ *other, child int) error { return syscall.Kill(child, syscall.SIGSTOP) },
	}
	for name, strike := range blows {
		t.Run(name, func(t *testing.T) {
			tempdir.Use(t)
			lock := lockFile(t)
			agents := map[string]*other{"b": startAgent(t, "b"), "c": startAgent(t, "c")}
			o := host.Options{Serve: "default", Fleet: &host.Fleet{Lease: testLease}}
			err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
				s := onAgent(spec(t, "holder", "holds"))
				s.Env["HOST_TEST_LOCK"], s.Restart = lock, config.Transient
				p, err := n.Start(ctx, s)
				if err != nil {
					return err
				}
				before := p.ID()
				where := whereIs(ctx, t, p)
				err = endless(ctx, p, func() {
					if err := strike(agents[where], before.PID); err != nil {
						t.Error(err)
					}
				})
				lost, isLost := errors.AsType[*fault.HostLost](err)
				died, isDead := errors.AsType[*fault.ActorDied](err)
				isLink := isLinkLost(err)
				switch {
				case strings.Contains(name, "agent") && (!isLost || lost.Host != where):
					t.Errorf("D21: the stream has ended with %v", err)
				case strings.Contains(name, "child") && (!isDead || died.Host != where || died.Signal != "killed") && !isLink:
					t.Errorf("D21: the stream has ended with %v", err)
				}
				if s, err := echo.Call(ctx, p, "again"); err != nil || s != "again" || p.ID().Is(before) {
					t.Errorf("D21: %q, %v", s, err)
				}
				awaitGone(t, before.PID)
				_ = agents[where].Process.Signal(syscall.SIGCONT) // it may be gone
				return p.Cancel(ctx, "the test is over")
			})
			if err != nil {
				t.Error(err)
			}
			for _, a := range agents {
				_ = a.stdin.Close() // it may be gone
				_ = a.Wait()        // and may have been killed
			}
		})
	}
}

func isLinkLost(err error) bool {
	_, is := errors.AsType[*fault.LinkLost](err)
	return is
}

// whereIs is the agent that runs an actor.
func whereIs(ctx context.Context, t *testing.T, p *host.Portal) string {
	t.Helper()
	for e, err := range host.Events(ctx) {
		if err != nil {
			t.Error(err)
		}
		if e.Path == p.Path() && e.Host != "" {
			return e.Host
		}
	}
	t.Error("nobody knows where it runs")
	return ""
}

// D21: when its host is killed, or frozen for longer than the lease, an actor on another machine is gone.
func TestD21_TheOwnerIsLost(t *testing.T) {
	for name, blow := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			tempdir.Use(t)
			lockFile(t)
			agent, owner := startAgent(t, "b"), start(t, "owns")
			line, err := owner.out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			if err := owner.Process.Signal(blow); err != nil {
				t.Fatal(err)
			}
			awaitGone(t, pid)
			_ = owner.Process.Kill() // it may be dead
			_ = owner.Wait()         // and was killed
			if err := errors.Join(agent.stdin.Close(), agent.Wait()); err != nil {
				t.Errorf("D21: the agent: %v", err)
			}
		})
	}
}
