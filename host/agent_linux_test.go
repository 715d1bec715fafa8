package host_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
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
		o := host.AgentOptions{Name: os.Getenv("HOST_TEST_AGENT"), Capacity: 3, Labels: map[string]string{"of": "the test"}}
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
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
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
			o := host.Options{Serve: "default", Endpoints: []contract.Handler{upper.Handle(func(_ context.Context, s string) (string, error) {
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
