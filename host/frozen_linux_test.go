package host_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// D22: a start ends in time, or with its ctx, though the agent is frozen to which the program is to be sent; and goes on elsewhere if it can.
func TestD22_AFrozenAgentIsSentAProgram(t *testing.T) {
	for _, way := range []string{"start_timeout", "its ctx ends", "another agent"} {
		t.Run(way, func(t *testing.T) {
			tempdir.Use(t)
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv("HOST_TEST_ACCEPTS", "yes")
			agent := startAgent(t, "b")
			err := host.OpenNursery(t.Context(), host.Options{Serve: "default"}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, onAgent(spec(t, "before", "good"))) // it is known
				if err == nil {
					err = p.Cancel(ctx, "it was only asked")
				}
				if err != nil {
					return err
				}
				<-p.Done()
				if err := agent.Process.Signal(syscall.SIGSTOP); err != nil {
					return err
				}
				hangs := time.AfterFunc(patience, func() {
					t.Error("D22: the start hangs")
					_ = agent.Process.Signal(syscall.SIGCONT) // so that it ends
				})
				defer hangs.Stop()
				s, starting := onAgent(spec(t, "worker", "good")), ctx
				s.Built = &config.Built{Package: "worker", Program: s.Command[0]}
				s.StartTimeout = config.Duration(300 * time.Millisecond)
				switch way {
				case "another agent":
					s.StartTimeout = config.Duration(2 * patience)
					other := startAgent(t, "c")
					p, err := n.Start(ctx, s)
					if err == nil && whereIs(ctx, t, p) != "c" {
						t.Errorf("D22: it runs on %s", whereIs(ctx, t, p))
					}
					n.Cancel()
					return errors.Join(err, agent.Process.Signal(syscall.SIGCONT), other.stdin.Close(), other.Wait())
				case "its ctx ends":
					s.StartTimeout = config.Duration(patience)
					var stop context.CancelFunc
					starting, stop = context.WithTimeout(ctx, 300*time.Millisecond)
					defer stop()
				}
				_, err = n.Start(starting, s)
				failed, ok := errors.AsType[*host.StartError](err)
				if way == "start_timeout" && (!ok || failed.Stage != "program") || way != "start_timeout" && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("D22: %v", err)
				}
				if _, err := directory.Find(ctx, "worker"); !errors.Is(err, directory.ErrNotFound) {
					t.Errorf("D22: %v", err)
				}
				if way == "start_timeout" {
					return agent.Process.Signal(syscall.SIGCONT) // the one whose ctx ends is frozen to the end, and cut off
				}
				return nil
			})
			if err := errors.Join(err, agent.Process.Signal(syscall.SIGCONT), agent.stdin.Close(), agent.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

// D22: an agent joins a root once, whatever the registry says of its tree meanwhile.
func TestD22_AnAgentJoinsATreeOnce(t *testing.T) {
	tempdir.Use(t)
	machines, memory := inFleet(t), fleet.NewMemory()
	settings := fleet.Settings{TTL: testLease}
	machines.Registry, machines.Tree, machines.OnRegistryLoss = memory.Client(settings), "x", config.KeepOnRegistryLoss
	credentials, err := fleet.LoadCredentials(os.Getenv("HOST_TEST_CREDENTIALS"))
	if err != nil {
		t.Fatal(err)
	}
	r := memory.Client(settings)
	ctx, end := context.WithCancel(t.Context())
	agent := task.Start(func() {
		if err := host.Agent(ctx, host.AgentOptions{Registry: r, Credentials: credentials}); err != nil {
			t.Error(err)
		}
	})
	err = host.OpenNursery(t.Context(), host.Options{Fleet: machines}, func(ctx context.Context, n *host.Nursery) error {
		if _, err := directory.WaitFor(ctx, "b"); err != nil {
			return err
		}
		await := func(kind fleet.Kind, during func()) error {
			for change, err := range r.Watch(ctx, fleet.TreePrefix) {
				switch {
				case err != nil || change.Kind == kind:
					return err
				case change.Kind == fleet.Current:
					during()
				}
			}
			return nil
		}
		err := errors.Join(await(fleet.Released, func() { memory.Cut("a:x", true) }), await(fleet.Held, func() { memory.Cut("a:x", false) }))
		for range 5 { // while it would join again
			p, failure := n.Start(ctx, onAgent(spec(t, "worker", "good")))
			if failure != nil {
				return failure
			}
			err = errors.Join(err, p.Cancel(ctx, "enough"))
		}
		all, failure := directory.Query(ctx, "")
		for _, e := range all {
			if strings.HasPrefix(e.Path, "b#") {
				t.Errorf("D22: it has joined again: %+v", e)
			}
		}
		n.Cancel()
		return errors.Join(err, failure)
	})
	end()
	agent.Wait()
	if err := errors.Join(err, r.Close(), machines.Registry.Close()); err != nil {
		t.Error(err)
	}
}

// slowly passes on what comes for an address, a megabyte in a second, and gives its own address.
func slowly(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all task.Group
	t.Cleanup(func() {
		_ = l.Close() // there is nothing to lose
		all.Close()
	})
	pass := func(to, from net.Conn) {
		defer func() { _ = errors.Join(to.Close(), from.Close()) }() // the other direction may have done it
		piece := make([]byte, 16<<10)
		for {
			n, err := from.Read(piece)
			if n > 0 {
				_, err = to.Write(piece[:n])
				<-time.After(time.Duration(n) * time.Microsecond)
			}
			if err != nil {
				return // it is over
			}
		}
	}
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // it was closed
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close() // as the host would
				continue
			}
			all.Go(func() { pass(near, far) })
			all.Go(func() { pass(far, near) })
		}
	})
	return l.Addr().String()
}

// D22: an agent to which a program is sent over a slow link is not lost meanwhile, though its answers are behind that.
func TestD22_AProgramOverASlowLink(t *testing.T) {
	tempdir.Use(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOST_TEST_ACCEPTS", "yes")
	machines := inFleet(t)
	t.Setenv("HOST_TEST_AT", "tls://"+slowly(t, machines.Listen))
	agent := startAgent(t, "b")
	program := filepath.Join(t.TempDir(), "worker")
	if err := os.WriteFile(program, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := onAgent(host.Spec{Name: "worker", Command: []string{program}, StartTimeout: config.Duration(patience)})
	s.Built = &config.Built{Package: "worker", Program: program}
	err := host.OpenNursery(t.Context(), host.Options{Fleet: machines}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, s)
		failed, ok := errors.AsType[*host.StartError](err)
		if !ok || !failed.Lasting || !strings.Contains(err.Error(), "exec format error") { // it has arrived, and is none
			t.Errorf("D22: %v", err)
		}
		return nil
	})
	if err := errors.Join(err, agent.stdin.Close(), agent.Wait()); err != nil {
		t.Error(err)
	}
}
