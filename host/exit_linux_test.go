package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/actor"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// diaryVar names the file that the exit hooks of a plugin write into.
const diaryVar = "HOST_TEST_DIARY"

var cut = contract.Func[none, none]("cut")

func init() {
	role("hooks", func() {
		keepDiary()
		sdk.Plugin{Hosts: host.Subtree, Endpoints: append(goodEndpoints(), cut.Handle(serveCut))}.Serve()
	})
	role("hooks panic", func() {
		keepDiary()
		sdk.OnExit(func() { panic("in a hook") })
		sdk.OnExit(func() { runtime.Goexit() })
		sdk.OnExit(func() { sdk.OnExit(func() { note("registered late") }) })
		sdk.Serve(goodEndpoints()...)
	})
	role("hooks hang", func() {
		keepDiary()
		sdk.OnExit(func() { select {} })
		sdk.Serve(goodEndpoints()...)
	})
}

// keepDiary registers hooks that note the order in which they run.
func keepDiary() {
	sdk.OnExit(func() { note("first registered") })
	sdk.OnExit(func() { note("second registered") })
}

func note(line string) {
	file, err := os.OpenFile(os.Getenv(diaryVar), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, line)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		panic(err)
	}
}

// serveCut breaks every connection of its process, from inside.
func serveCut(ctx context.Context, _ none) (none, error) {
	for fd := range 1000 {
		_ = syscall.Shutdown(fd, syscall.SHUT_RDWR) // what is not a socket refuses
	}
	<-ctx.Done()
	return none{}, context.Cause(ctx)
}

// diary is a spec of a role with exit hooks, and a function that reads what they
// have noted.
func diary(t *testing.T, role string) (host.Spec, func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "diary")
	s := spec(t, "diarist", role)
	s.Env[diaryVar] = file
	return s, func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
}

const inOrder = "second registered\nfirst registered\n"

func TestN17_ExitHooksRunOnEveryExit(t *testing.T) {
	parallel(t)
	leaf := func(t *testing.T) host.Spec { return spec(t, "leaf", "good") }
	// A plugin that ends itself in order, as after SIGTERM, fails nobody.
	failures := []string{"failed nursery", "link lost", "failure"}
	for name, end := range map[string]func(ctx context.Context, n *host.Nursery, p *host.Portal) error{
		"normal end": func(ctx context.Context, _ *host.Nursery, p *host.Portal) error { return p.Cancel(ctx, "done") },
		"cancelled nursery": func(_ context.Context, n *host.Nursery, _ *host.Portal) error {
			n.Cancel()
			return nil
		},
		"failed nursery": func(context.Context, *host.Nursery, *host.Portal) error { return errBody },
		"SIGTERM": func(_ context.Context, _ *host.Nursery, p *host.Portal) error {
			return syscall.Kill(p.ID().PID, syscall.SIGTERM)
		},
		"SIGINT": func(_ context.Context, _ *host.Nursery, p *host.Portal) error {
			return syscall.Kill(p.ID().PID, syscall.SIGINT)
		},
		"link lost": func(ctx context.Context, _ *host.Nursery, p *host.Portal) error {
			_, err := cut.Call(ctx, p, none{})
			return err
		},
		"failure": func(ctx context.Context, _ *host.Nursery, p *host.Portal) error {
			_, err := below.Call(ctx, p, "crash") // what it hosts fails, and so does it
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, read := diary(t, "hooks")
			s.Actors = []host.Spec{leaf(t)}
			_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, s)
				if err != nil {
					return err
				}
				return end(ctx, n, p)
			})
			if failed := slices.Contains(failures, name); (err != nil) != failed {
				t.Errorf("the nursery gave %v", err)
			}
			if got := read(); got != inOrder {
				t.Errorf("the hooks noted %q, want %q", got, inOrder)
			}
		})
	}
}

func TestN17_HookThatPanicsDoesNotStopTheOthers(t *testing.T) {
	s, read := diary(t, "hooks panic")
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
	if got, want := read(), "registered late\n"+inOrder; got != want {
		t.Errorf("the hooks noted %q, want %q", got, want)
	}
	log.await(t, "panic: in a hook", "exit_linux_test.go", fault.ErrGoexit.Error())
}

// What bounds a hook is the host's ladder, and nothing else.
func TestN17_HookThatHangsEndsAtTheLadder(t *testing.T) {
	parallel(t)
	s, read := diary(t, "hooks hang")
	s.Grace = config.Duration(100 * time.Millisecond)
	s.TermTimeout = config.Duration(100 * time.Millisecond)
	var id actor.ID
	log, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		id = p.ID()
		return p.Cancel(ctx, "done")
	})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), `"step":"SIGKILL"`) {
		t.Errorf("the ladder was not climbed to its end:\n%s", log)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", id.PID)); err == nil {
		t.Error("the process is left")
	}
	if _, err := os.Stat(s.Env[diaryVar]); err == nil {
		t.Errorf("a hook behind the one that hangs has run: %q", read())
	}
}

func TestN18_SignalledPluginCancelsItself(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			_, err := open(t, host.Options{Supervision: config.Supervision{Strategy: config.OneForOne}}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, spec(t, "signalled", "good"))
				if err != nil {
					return err
				}
				ended := []<-chan error{hold(ctx, n, forever, p), hold(ctx, n, forever, p)}
				if err := syscall.Kill(p.ID().PID, signal); err != nil {
					return err
				}
				for _, e := range ended {
					err := <-e
					cancelled, ok := fault.Cancelled(err)
					if !ok || !cancelled.Canceller.Is(p.ID()) {
						t.Errorf("the context ended with %v; want a ContextCancelled by %s", err, p.ID())
					}
				}
				<-p.Done()
				return nil
			})
			if err != nil {
				t.Errorf("the nursery gave %v; the actor has ended in order", err)
			}
		})
	}
}
