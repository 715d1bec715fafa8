package host_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// plain is a file that is not a program.
func plain(t testing.TB, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain")
	if err := writeProgram(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeProgram writes a file that is to be executed: else a process that another test starts meanwhile may have it open for a moment longer (ETXTBSY).
func writeProgram(path string, text []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, text, mode)
}

// badPlugin is a program that does not start, the stage at which it does not, and what the
// error says.
type badPlugin struct {
	spec  host.Spec
	stage string
	want  []string
}

func (c badPlugin) check(t *testing.T, err error) {
	t.Helper()
	start, ok := errors.AsType[*host.StartError](err)
	if !ok || c.stage != "" && start.Stage != c.stage {
		t.Fatalf("got %v", err)
	}
	for _, want := range c.want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestF03_BadPlugins(t *testing.T) {
	parallel(t)
	cases := map[string]badPlugin{
		"missing":        {host.Spec{Command: []string{"/does/not/exist"}}, "program", []string{"/does/not/exist", "no such file"}},
		"not in PATH":    {host.Spec{Command: []string{"no-such-program-here"}}, "program", []string{"no-such-program-here", "PATH"}},
		"no command":     {host.Spec{}, "spec", []string{"there is neither"}},
		"not executable": {host.Spec{Command: []string{plain(t, 0o600, "#!/bin/sh\n")}}, "program", []string{"permission denied", "chmod +x"}},
		"no program":     {host.Spec{Command: []string{plain(t, 0o700, "hello")}}, "program", []string{"exec format error"}},
		"a directory":    {host.Spec{Command: []string{t.TempDir()}}, "program", []string{"directory"}},
		"a shell tool":   {host.Spec{Command: []string{"/bin/true"}}, "handshake", []string{"exit code 0", "sdk.Serve"}},
		"exits":          {spec(t, "x", "exits"), "handshake", []string{"exit code 7", "I leave at once"}},
		"garbage":        {spec(t, "x", "garbage"), "handshake", []string{"Welcome to my program!", "handshake"}},
		"panics":         {spec(t, "x", "panics"), "handshake", []string{"exit code 2", "in main"}},
		"old version":    {spec(t, "x", "old"), "handshake", []string{"version"}},
		"net/rpc":        {spec(t, "x", "netrpc"), "handshake", []string{"netrpc", "grpc"}},
		"exits in boot":  {withChild(spec(t, "x", "exits in boot")), "boot", []string{"exit code 3"}},
		"panics in boot": {withChild(spec(t, "x", "panics in boot")), "boot", []string{"exit code 2", "died", "while booting"}},
		"fails in boot":  {withChild(spec(t, "x", "fails in boot")), "boot", []string{"no database"}},
		"bad child":      {withChild(spec(t, "x", "hosting")), "boot", []string{`actor "child"`, "no such file"}},
		"checksum":       {withSum(spec(t, "x", "good")), "program", []string{strings.Repeat("0", 64)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				c.spec.Name = "x"
				_, err := n.Start(ctx, c.spec)
				return err
			})
			c.check(t, err)
			if start, ok := errors.AsType[*host.StartError](err); name == "old version" && (!ok || !start.Lasting) {
				t.Error("F07: a program of another protocol version may be started again")
			}
		})
	}
}

// Those that would wait for ever wait at the same time, and while the tests run that have
// no processes.
func TestF03_PluginsThatHang(t *testing.T) {
	parallel(t)
	t.Cleanup(func() {
		if left := childrenLeft(t); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
	cases := map[string]badPlugin{
		"silent":        {spec(t, "x", "silent"), "handshake", []string{"not ready in time"}},
		"liar":          {spec(t, "x", "liar"), "", []string{"x"}},
		"hangs in boot": {withChild(spec(t, "x", "hangs in boot")), "boot", []string{"not ready in time", "not answered its boot"}},
		"no link":       {spec(t, "x", "stranger without link"), "boot", []string{"not ready in time", "not opened its link"}},
		"no hello":      {spec(t, "x", "stranger without a word"), "boot", []string{"not ready in time", "not said HELLO"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			longEnough(time.Second, func(bound config.Duration) bool {
				c.spec.StartTimeout = bound
				err = host.OpenNursery(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, func(ctx context.Context, n *host.Nursery) error {
					_, err := n.Start(ctx, c.spec)
					return err
				})
				return err == nil || strings.Contains(err.Error(), c.want[len(c.want)-1])
			})
			c.check(t, err)
		})
	}
}

// withChild gives an actor a child that cannot start.
func withChild(s host.Spec) host.Spec {
	s.Actors = []host.Spec{{Name: "child", Command: []string{"/does/not/exist"}}}
	return s
}

func withSum(s host.Spec) host.Spec {
	s.SHA256 = strings.Repeat("0", 64)
	return s
}

func TestN06_CancelledBeforeStartCreatesNoProcess(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(errBody)
		_, err := n.Start(ctx, spec(t, "x", "silent"))
		return err
	})
	if err != errBody { //nolint:errorlint // the very same
		t.Fatalf("got %v", err)
	}
}

func TestP07_CallsFailWhenTheActorDies(t *testing.T) {
	cases := map[string]struct {
		code   int
		exit   int
		signal string
	}{"exit": {3, 3, ""}, "kill -9": {-1, -1, "killed"}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var called error
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, spec(t, "mortal", "good"))
				if err != nil {
					return err
				}
				_, called = crash.Call(context.WithoutCancel(ctx), p, c.code)
				return called
			})
			died, ok := errors.AsType[*fault.ActorDied](called)
			if !ok || died.ExitCode != c.exit || died.Signal != c.signal {
				t.Fatalf("the call gave %v", called)
			}
			if died.OOM || died.PeakRSS != 0 && died.PeakRSS < 1<<20 || runtime.GOOS == "linux" && died.CPU <= 0 {
				t.Errorf("N16: it had %d bytes, %v of processor time, out of memory: %v", died.PeakRSS, died.CPU, died.OOM)
			}
			if !strings.Contains(strings.Join(died.LastLog, "\n"), "famous last words") {
				t.Errorf("N16: its last log is %q", died.LastLog)
			}
			if err != called { //nolint:errorlint // one failure, one object
				t.Errorf("the nursery gave %v", err)
			}
		})
	}
}

func TestP10_PanicInAHandlerLeavesTheActorAlive(t *testing.T) {
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, spec(t, "good", "good"))
		if err != nil {
			return err
		}
		_, err = fail.Call(ctx, p, "panic")
		panicked, ok := errors.AsType[*fault.PanicError](err)
		if !ok || panicked.Value != "as asked" || !strings.Contains(panicked.Stack, "main_test.go") {
			t.Errorf("got %+v", err)
		}
		if got, err := echo.Call(ctx, p, "alive"); got != "alive" || err != nil {
			t.Errorf("afterwards: %q, %v", got, err)
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Fatal(err)
	}
}
