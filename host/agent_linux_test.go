package host_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

func init() {
	role("agent", func() { // until its standard input ends
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
		if err := host.Agent(ctx, host.AgentOptions{Name: os.Getenv("HOST_TEST_AGENT")}); err != nil {
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

// onAgent is a spec for any agent.
func onAgent(s host.Spec) host.Spec {
	s.On = &config.On{}
	return s
}

// places runs a test of what an actor can do with one on this machine and with one that an agent runs.
func places(t *testing.T, s host.Spec, body func(ctx context.Context, n *host.Nursery, p *host.Portal, machine string) error) {
	t.Helper()
	for _, machine := range []string{"", "b"} {
		t.Run("on "+machine, func(t *testing.T) {
			tempdir.Use(t)
			spec := s
			if machine != "" {
				spec = onAgent(spec)
				agent := startAgent(t, machine)
				defer func() {
					if err := errors.Join(agent.stdin.Close(), agent.Wait()); err != nil {
						t.Error(err)
					}
				}()
			}
			o := host.Options{Serve: "default", Endpoints: []contract.Handler{upper.Handle(func(_ context.Context, s string) (string, error) {
				return strings.ToUpper(s), nil
			})}}
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
