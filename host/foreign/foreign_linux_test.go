//go:build foreign

// Package foreign_test starts programs that nobody of this project wrote, and
// supervises them.
package foreign_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// each runs a test with every program.
func each(t *testing.T, run func(t *testing.T, name, dir string)) {
	t.Helper()
	for _, pkg := range packages {
		name := filepath.Base(pkg)
		t.Run(name, func(t *testing.T) { run(t, name, t.TempDir()) })
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// with runs body with a program that is up, and gives the log.
func with(t *testing.T, s host.Spec, body func(ctx context.Context, f *host.Portal) error) (log string, err error) {
	t.Helper()
	var text syncBuffer
	o := host.Options{Log: slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))}
	err = host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
		f, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		return body(ctx, f)
	})
	return text.String(), err
}

func TestN15_ProgramsOfOthersAreUsedAndEndInOrder(t *testing.T) {
	each(t, func(t *testing.T, name, dir string) {
		s := spec(name, dir)
		log, err := with(t, s, func(ctx context.Context, f *host.Portal) error {
			use(ctx, t, f, dir)
			v, err := f.Version(ctx)
			if want := s.GoPlugin.Versions[len(s.GoPlugin.Versions)-1]; v != want || err != nil {
				t.Errorf("version %d, %v; want %d", v, err, want)
			}
			return f.Cancel(ctx, "done")
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log, "teardown goes on") || strings.Contains(log, `"state":"unhealthy"`) {
			t.Errorf("it was not well, or force was used:\n%s", log)
		}
	})
}

func TestN15_ProgramsOfOthersWithoutTLS(t *testing.T) {
	each(t, func(t *testing.T, name, dir string) {
		s := spec(name, dir)
		s.GoPlugin.MTLS = config.MTLSOff
		_, err := with(t, s, func(ctx context.Context, f *host.Portal) error {
			use(ctx, t, f, dir)
			return f.Cancel(ctx, "done")
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestV06_ProgramsOfOthersAreRestarted(t *testing.T) {
	each(t, func(t *testing.T, name, dir string) {
		s := spec(name, dir)
		s.Restart, s.Backoff.Initial = config.Permanent, config.Duration(time.Millisecond)
		_, err := with(t, s, func(ctx context.Context, f *host.Portal) error {
			use(ctx, t, f, dir)
			old := f.ID()
			if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
				return err
			}
			if err := restarted(ctx); err != nil {
				return err
			}
			use(ctx, t, f, dir)
			if f.ID().PID == old.PID {
				t.Errorf("the process is the old one")
			}
			return f.Cancel(ctx, "done")
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// restarted returns when the only actor has come up for the second time.
func restarted(ctx context.Context) error {
	ready := 0
	for e, err := range host.Events(ctx) {
		if err != nil {
			return err
		}
		if e.To == directory.Ready && e.From == directory.Starting {
			ready++
		}
		if ready == 2 {
			return nil
		}
	}
	return context.Cause(ctx)
}

func TestV07_FrozenProgramsOfOthersAreEnded(t *testing.T) {
	each(t, func(t *testing.T, name, dir string) {
		s := spec(name, dir)
		s.Health = config.Health{Interval: config.Duration(20 * time.Millisecond), Timeout: config.Duration(200 * time.Millisecond), Failures: 2}
		s.TermTimeout = config.Duration(50 * time.Millisecond)
		_, err := with(t, s, func(_ context.Context, f *host.Portal) error {
			if err := syscall.Kill(f.ID().PID, syscall.SIGSTOP); err != nil {
				return err
			}
			<-f.Done()
			return nil
		})
		if _, ok := errors.AsType[*fault.ActorUnhealthy](err); !ok {
			t.Fatalf("got %v", err)
		}
	})
}

// N07: not even kill -9 of the host leaves a program behind that knows nothing of
// it.
func TestN07_ProgramsOfOthersEndWithTheirKilledHost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, name, _ string) {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), hostVar+"="+filepath.Join(programs, name))
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
		if n, err := unix.Poll(fds, -1); n != 1 || err != nil {
			t.Errorf("%s is alive: %v", name, errors.Join(err, syscall.Kill(pid, syscall.SIGKILL)))
		}
	})
}

// F04: the provider writes hclog's JSON to its standard error when Terraform asks
// for it.
func TestF04_LogsOfAProvider(t *testing.T) {
	s := spec("terraform-provider-time", t.TempDir())
	s.Env = map[string]string{"TF_LOG_SDK": "TRACE"}
	log, err := with(t, s, func(ctx context.Context, f *host.Portal) error {
		use(ctx, t, f, "")
		return f.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`"msg":"[^"]+","actor":"terraform-provider-time@[0-9a-f]+",.*"@module":"sdk\.[a-z]+",.*"tf_rpc":"CallFunction"`)
	if !want.MatchString(log) {
		t.Errorf("no record is like %s in\n%s", want, log)
	}
}

func TestF03_ProgramOfOldProtocol(t *testing.T) {
	s := spec("plugin-go", t.TempDir())
	s.GoPlugin.Versions = []int{2} // which it serves over net/rpc only
	_, err := with(t, s, func(context.Context, *host.Portal) error { return nil })
	if start, ok := errors.AsType[*host.StartError](err); !ok || !strings.Contains(start.Error(), `"netrpc"`) {
		t.Fatalf("got %v", err)
	}
}
