package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// freeze stops a process.
func freeze(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitStopped(ctx, pid)
}

// awaitStopped returns when a process is stopped, which may be a while after the signal.
// The system offers no event for that, so it looks again and again.
func awaitStopped(ctx context.Context, pid int) error {
	for ctx.Err() == nil {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return err
		}
		if _, state, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(state, "T") {
			return nil
		}
		runtime.Gosched()
	}
	return context.Cause(ctx)
}

func TestV07_FrozenForeignProgramFailsItsHealthChecks(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.Health = config.Health{Interval: config.Duration(20 * time.Millisecond), Timeout: config.Duration(100 * time.Millisecond), Failures: 2}
		s.TermTimeout = config.Duration(50 * time.Millisecond)
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if err := freeze(ctx, f.ID().PID); err != nil {
			return err
		}
		<-f.Done()
		return nil
	})
	if _, ok := errors.AsType[*fault.ActorUnhealthy](err); !ok {
		t.Fatalf("got %v", err)
	}
}

func TestP05_FrozenForeignProgramIsTooSlow(t *testing.T) {
	parallel(t)
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := foreign(t, "foreign")
		s.Health.Off = true
		s.CancelTimeout, s.Grace, s.TermTimeout = config.Duration(50*time.Millisecond), config.Duration(50*time.Millisecond), config.Duration(50*time.Millisecond)
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if err := freeze(ctx, f.ID().PID); err != nil {
			return err
		}
		if err := f.Cancel(ctx, "done"); !errors.Is(err, fault.ErrActorTooSlow) {
			t.Errorf("Cancel = %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// N07: a foreign program that ignores SIGTERM and does not notice the loss of its
// connection ends with its host all the same.
func TestN07_ForeignProgramEndsWithItsKilledHost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"=host of foreign")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(child) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	fds := []unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(patience.Milliseconds())); n != 1 || err != nil {
		t.Errorf("the foreign program is alive: %v", errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)))
	}
}
