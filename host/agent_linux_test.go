package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("agent", func() { // until its standard input ends
		ctx, stop := context.WithCancel(context.Background())
		task.Start(func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		})
		o := host.AgentOptions{Name: os.Getenv("HOST_TEST_AGENT"), Capacity: 3, Labels: map[string]string{"of": "the test"}, AcceptPrograms: os.Getenv("HOST_TEST_ACCEPTS") != ""}
		if at := os.Getenv("HOST_TEST_AT"); at != "" {
			credentials, err := fleet.LoadCredentials(os.Getenv("HOST_TEST_CREDENTIALS"))
			if err != nil {
				panic(err)
			}
			o.Join, o.Credentials = []string{at}, credentials
		}
		if err := host.Agent(ctx, o); err != nil {
			panic(err)
		}
	})
}

// startAgent starts an agent of a name in a process of its own.
func startAgent(t *testing.T, name string) *other {
	t.Helper()
	t.Setenv("HOST_TEST_AGENT", name)
	return start(t, "agent")
}

// ports has the last one that ownAddress has given.
var ports atomic.Int32

// ownAddress is one that nobody but this process listens at, or connects from.
func ownAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+pid>>16&127, pid>>8&255, pid&255, 7077+ports.Add(1))
}

// inFleet makes a host one of a fleet, and has agents that are started from now on join it as the host b.
func inFleet(t *testing.T) *host.Fleet {
	t.Helper()
	dir := t.TempDir()
	ca, err := fleet.NewCA(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ca.Issue("a", filepath.Join(dir, "a"), fleet.DefaultLifetime), ca.Issue("b", filepath.Join(dir, "b"), fleet.DefaultLifetime)); err != nil {
		t.Fatal(err)
	}
	credentials, err := fleet.LoadCredentials(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	at := ownAddress()
	t.Setenv("HOST_TEST_AT", "tls://"+at)
	t.Setenv("HOST_TEST_CREDENTIALS", filepath.Join(dir, "b"))
	return &host.Fleet{Credentials: credentials, Listen: at}
}

// onAgent is a spec for any agent.
func onAgent(s host.Spec) host.Spec {
	s.On = &config.On{}
	return s
}

// places runs a test of what an actor can do with one on this machine and with one that an agent runs.
func places(t *testing.T, s host.Spec, body func(ctx context.Context, n *host.Nursery, p *host.Portal, machine string) error) {
	t.Helper()
	for place, machine := range map[string]string{"here": "", "by a socket": "b", "by TLS": "b"} {
		t.Run(place, func(t *testing.T) {
			tempdir.Use(t)
			spec := s
			o := host.Options{Serve: "default", Supervision: config.Supervision{MaxRestarts: 1000}, Endpoints: []contract.Handler{upper.Handle(func(_ context.Context, s string) (string, error) {
				return strings.ToUpper(s), nil
			})}}
			if place == "by TLS" {
				o.Fleet = inFleet(t)
			}
			if machine != "" {
				spec = onAgent(spec)
				agent := startAgent(t, machine)
				defer func() {
					if err := errors.Join(agent.stdin.Close(), agent.Wait()); err != nil {
						t.Error(err)
					}
				}()
			}
			err := host.OpenNursery(t.Context(), o, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, spec)
				if err != nil {
					return err
				}
				err = body(ctx, n, p, machine)
				n.Cancel()
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestD20_AnActorOnAnotherMachine(t *testing.T) {
	places(t, spec(t, "worker", "good"), func(ctx context.Context, _ *host.Nursery, p *host.Portal, machine string) error {
		if s, err := echo.Call(ctx, p, "hello"); err != nil || s != "hello" {
			t.Errorf("D20: %q, %v", s, err)
		}
		large := strings.Repeat("0123456789abcdef", 1<<16)
		if s, err := echo.Call(ctx, p, large); err != nil || s != large {
			t.Errorf("D20: %d bytes, %v", len(s), err)
		}
		if s, err := parent.Call(ctx, p, "hello"); err != nil || s != "HELLO" {
			t.Errorf("D20: the actor calls its host: %q, %v", s, err)
		}
		sum := 0
		for n, err := range numbers.Stream(ctx, p, 10000) {
			if err != nil {
				return err
			}
			sum += n
		}
		if sum != 10000*9999/2 {
			t.Errorf("D20: the sum is %d", sum)
		}
		r, err := double.Open(ctx, p, "x", func(ctx context.Context, c *contract.Opener[string, int, int, int]) error {
			s, err := c.Stream(contract.StreamOptions{})
			if err != nil {
				return err
			}
			for i := range 100 {
				if err := s.Send(ctx, i); err != nil {
					return err
				}
				if n, err := s.Recv(ctx); err != nil || n != 2*i {
					t.Errorf("D20: %d, %v", n, err)
				}
			}
			s.CloseSend()
			return nil
		})
		if err != nil || r != 4950 {
			t.Errorf("D20: %d, %v", r, err)
		}
		if _, err := fail.Call(ctx, p, "deep"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("D20: %v", err)
		}
		var panicked *fault.PanicError
		if _, err := fail.Call(ctx, p, "panic"); !errors.As(err, &panicked) {
			t.Errorf("D20: %v", err)
		}
		all, err := directory.Query(ctx, "worker")
		if err != nil || len(all) != 1 || all[0].Path != "worker" || all[0].Last.Host != machine {
			t.Errorf("D20: %+v, %v", all, err)
		}
		return nil
	})
}

func TestD20_ADeathOnAnotherMachine(t *testing.T) {
	s := spec(t, "worker", "good")
	s.Restart = config.Transient
	places(t, s, func(ctx context.Context, _ *host.Nursery, p *host.Portal, machine string) error {
		_, err := crash.Call(ctx, p, 3)
		died, ok := errors.AsType[*fault.ActorDied](err)
		if !ok || died.Host != machine || died.ExitCode != 3 || !slices.Contains(died.LastLog, "famous last words") {
			t.Errorf("D20: %#v, %v", died, err)
		}
		if s, err := echo.Call(ctx, p, "again"); err != nil || s != "again" {
			t.Errorf("D20: it was started again, and says %q, %v", s, err)
		}
		return nil
	})
}

// untilThereAre looks again and again, until there are as many as are wanted.
func untilThereAre[T any](n int, look func() ([]T, error)) (all []T, err error) {
	for late := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		if all, err = look(); err != nil || len(all) == n {
			return all, err
		}
		if time.Now().After(late) {
			return all, fmt.Errorf("there are %d, expected %d", len(all), n)
		}
	}
}

// D22: the actors of an agent that is drained are started elsewhere, and it ends.
func TestD22_AnAgentIsDrained(t *testing.T) {
	for _, way := range []string{"by its host", "by a signal"} {
		t.Run(way, func(t *testing.T) {
			tempdir.Use(t)
			agents := map[string]*other{"b": startAgent(t, "b"), "c": startAgent(t, "c")}
			err := host.OpenNursery(t.Context(), host.Options{Serve: "default"}, func(ctx context.Context, n *host.Nursery) error {
				for _, name := range []string{"b", "c"} {
					if _, err := directory.WaitFor(ctx, name); err != nil {
						return err
					}
				}
				s := onAgent(spec(t, "worker", "good"))
				s.Restart = config.Transient
				p, err := n.Start(ctx, s)
				if err != nil {
					return err
				}
				before, from := p.ID(), whereIs(ctx, t, p)
				drained := agents[from]
				if way == "by a signal" {
					err = drained.stdin.Close() // its ctx ends
				} else {
					_, err = inspect.Order(ctx, wire.OrderRequest{Name: from, Do: wire.OrderDrain})
				}
				if err := errors.Join(err, drained.Wait()); err != nil {
					t.Errorf("D22: the agent has ended with %v", err)
				}
				if s, err := echo.Call(ctx, p, "moved"); err != nil || s != "moved" || p.ID().Is(before) {
					t.Errorf("D22: %q, %v", s, err)
				}
				delete(agents, from)
				all, err := untilThereAre(2, func() ([]directory.Entry, error) { return directory.Query(ctx, "") }) // the tree hears of its end a moment later
				if err != nil {
					t.Errorf("D22: there are %v, %v", all, err)
				}
				n.Cancel()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			for _, a := range agents {
				if err := errors.Join(a.stdin.Close(), a.Wait()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// D22: a program that was built here is sent to an agent that accepts it, and refused by others.
func TestD22_AProgramIsShipped(t *testing.T) {
	for _, accepts := range []string{"", "yes"} {
		t.Run("accepts "+accepts, func(t *testing.T) {
			tempdir.Use(t)
			cache := t.TempDir()
			t.Setenv("XDG_CACHE_HOME", cache)
			t.Setenv("HOST_TEST_ACCEPTS", accepts)
			agent := startAgent(t, "b")
			s := onAgent(spec(t, "worker", "good"))
			s.Built = &config.Built{Package: "worker", Program: s.Command[0]}
			err := host.OpenNursery(t.Context(), host.Options{Serve: "default"}, func(ctx context.Context, n *host.Nursery) error {
				p, err := n.Start(ctx, s)
				if accepts == "" {
					if err == nil || !strings.Contains(err.Error(), "this agent takes no programs") {
						t.Errorf("D22: %v", err)
					}
					return nil
				}
				if err != nil {
					return err
				}
				there, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.ID().PID))
				if err != nil || !strings.HasPrefix(there, cache) {
					t.Errorf("D22: it runs %s, %v", there, err)
				}
				n.Cancel()
				return nil
			})
			if err := errors.Join(err, agent.stdin.Close(), agent.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

// D22: why no agent fits is said when the time of a start is over.
func TestD22_NoAgentFits(t *testing.T) {
	tempdir.Use(t)
	agent := startAgent(t, "b")
	log := &syncBuffer{}
	err := host.OpenNursery(t.Context(), host.Options{Serve: "default", Log: jsonLog(log)}, func(ctx context.Context, n *host.Nursery) error {
		if _, err := directory.WaitFor(ctx, "b"); err != nil {
			return err
		}
		for want, on := range map[string]*config.On{
			`no agent can run it: "b" is another host than "z"`:               {Host: "z"},
			`no agent can run it: "b" has of="the test", expected "somebody"`: {Labels: map[string]string{"of": "somebody"}},
		} {
			var err error
			if !longEnough(200*time.Millisecond, func(bound config.Duration) bool { // an agent that was just found may not have said yet what it is
				s := spec(t, "worker", "good")
				s.On, s.StartTimeout = on, bound
				_, err = n.Start(ctx, s)
				failed, ok := errors.AsType[*host.StartError](err)
				return ok && failed.Stage == "program" && !failed.Lasting && strings.Contains(err.Error(), want)
			}) {
				t.Errorf("D22: %v", err)
			}
		}
		log.await(t, `"an actor waits for an agent"`)
		return nil
	})
	if err := errors.Join(err, agent.stdin.Close(), agent.Wait()); err != nil {
		t.Error(err)
	}
}

// D22: an agent finds the root of a tree in the registry, and a host that it has lost says which membership that was.
func TestD22_AnAgentInARegistry(t *testing.T) {
	tempdir.Use(t)
	machines := inFleet(t)
	memory := fleet.NewMemory()
	machines.Registry, machines.Tree, machines.Lease = memory.Client(fleet.Settings{}), "x", testLease
	credentials, err := fleet.LoadCredentials(os.Getenv("HOST_TEST_CREDENTIALS"))
	if err != nil {
		t.Fatal(err)
	}
	r := memory.Client(fleet.Settings{})
	ctx, end := context.WithCancel(t.Context())
	agent := task.Start(func() {
		if err := host.Agent(ctx, host.AgentOptions{Registry: r, Credentials: credentials, Labels: map[string]string{"disk": "ssd"}}); err != nil {
			t.Error(err)
		}
	})
	err = host.OpenNursery(t.Context(), host.Options{Fleet: machines}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "worker", "good")
		s.On = &config.On{Labels: map[string]string{"disk": "ssd"}}
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		if s, err := echo.Call(ctx, p, "hello"); err != nil || s != "hello" || whereIs(ctx, t, p) != "b" {
			t.Errorf("D22: %q, %v", s, err)
		}
		hosts, err := untilThereAre(2, func() ([]fleet.Member, error) { return r.Hosts(ctx) }) // it joins the tree and the registry at the same time
		if err != nil || hosts[1].Name != "b" || hosts[1].Labels["disk"] != "ssd" {
			t.Errorf("D22: %+v, %v", hosts, err)
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	end()
	agent.Wait()
	if hosts, err := r.Hosts(t.Context()); err != nil || len(hosts) > 0 {
		t.Errorf("D22: left are %+v, %v", hosts, err)
	}
	if err := errors.Join(r.Close(), machines.Registry.Close()); err != nil {
		t.Error(err)
	}
}
