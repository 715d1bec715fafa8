package host_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// D20: whatever the link between the actor and its agent is, calls and streams pass.
func TestD20_EveryTransport(t *testing.T) {
	for _, transport := range []string{"shm", "local", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			t.Setenv("TRELLIS_TRANSPORT", transport)
			places(t, spec(t, "worker", "good"), func(ctx context.Context, _ *host.Nursery, p *host.Portal, _ string) error {
				large := strings.Repeat("0123456789abcdef", 1<<18)
				if s, err := echo.Call(ctx, p, large); err != nil || s != large {
					t.Errorf("D20: %d bytes, %v", len(s), err)
				}
				sum := 0
				for n, err := range numbers.Stream(ctx, p, 5000) {
					if err != nil {
						return err
					}
					sum += n
				}
				if sum != 5000*4999/2 {
					t.Errorf("D20: the sum is %d", sum)
				}
				return nil
			})
		})
	}
}

// D20: a context ends as it would with a local actor: by a cancel of either side, and by the end of the actor.
func TestD20_ContextsEnd(t *testing.T) {
	places(t, spec(t, "worker", "good"), func(ctx context.Context, _ *host.Nursery, p *host.Portal, _ string) error {
		_, err := forever.Open(ctx, p, none{}, func(ctx context.Context, c *contract.Opener[none, none, none, none]) error {
			return c.Cancel(ctx, "enough")
		})
		if err != nil {
			t.Errorf("D20: %v", err)
		}
		short, stop := context.WithCancel(ctx)
		_, err = forever.Open(short, p, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("D20: %v", err)
		}
		_, err = forever.Open(ctx, p, none{}, func(ctx context.Context, _ *contract.Opener[none, none, none, none]) error {
			if err := p.Cancel(ctx, "the end"); err != nil {
				t.Errorf("D20: %v", err)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if asked, ok := fault.Cancelled(err); !ok || asked.Reason != "the end" {
			t.Errorf("D20: %v", err)
		}
		return nil
	})
}

// D20: an actor on another machine hosts actors there, which end with it.
func TestD20_HostingOnAnotherMachine(t *testing.T) {
	s := spec(t, "middle", "hosting")
	s.Actors = []host.Spec{spec(t, "leaf", "good")}
	places(t, s, func(ctx context.Context, _ *host.Nursery, p *host.Portal, machine string) error {
		leaf, err := directory.WaitFor(ctx, "leaf")
		if err != nil {
			return err
		}
		if s, err := echo.Call(ctx, leaf, "from the root"); err != nil || s != "from the root" {
			t.Errorf("D20: %q, %v", s, err)
		}
		if s, err := below.Call(ctx, p, "from its host"); err != nil || s != "from its host" {
			t.Errorf("D20: %q, %v", s, err)
		}
		if leaf.Entry.Path != "middle/leaf" || leaf.Entry.Last.Host != machine {
			t.Errorf("D20: %+v", leaf.Entry)
		}
		if err := p.Cancel(ctx, "done"); err != nil {
			t.Errorf("D20: %v", err)
		}
		<-p.Done()
		awaitGone(t, leaf.Entry.Actor.PID)
		return nil
	})
}

// D20: an actor that hangs is found by its health checks, ended and started again.
func TestD20_HangingOnAnotherMachine(t *testing.T) {
	s := spec(t, "worker", "good")
	s.Restart, s.Health = config.Transient, config.Health{Interval: config.Duration(10 * time.Millisecond), Timeout: config.Duration(100 * time.Millisecond)}
	s.Grace, s.TermTimeout = config.Duration(100*time.Millisecond), config.Duration(100*time.Millisecond)
	places(t, s, func(ctx context.Context, _ *host.Nursery, p *host.Portal, _ string) error {
		before := p.ID()
		if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
			return err
		}
		for e, err := range host.Events(ctx) {
			if err != nil {
				return err
			}
			if e.To == directory.Ready && e.Epoch == 2 {
				break
			}
		}
		awaitGone(t, before.PID)
		if s, err := echo.Call(ctx, p, "again"); err != nil || s != "again" {
			t.Errorf("D20: %q, %v", s, err)
		}
		return nil
	})
}

// D20: what an actor on another machine prints is logged as that of any other.
func TestD20_PrintedOnAnotherMachine(t *testing.T) {
	tempdir.Use(t)
	agent := startAgent(t, "b")
	log, err := openBeside(t, agent, func(ctx context.Context, n *host.Nursery) error {
		p, err := n.Start(ctx, onAgent(spec(t, "worker", "good")))
		if err != nil {
			return err
		}
		_, err = say.Call(ctx, p, "hello")
		n.Cancel()
		return err
	})
	if err != nil {
		t.Error(err)
	}
	log.await(t, `"msg":"structured hello"`, `"answer":42`, `"msg":"printed hello"`)
}

// openBeside is open beside an agent, which ends after it.
func openBeside(t *testing.T, agent *other, body func(ctx context.Context, n *host.Nursery) error) (log *syncBuffer, err error) {
	t.Helper()
	log = &syncBuffer{}
	err = host.OpenNursery(t.Context(), host.Options{Serve: "default", Log: jsonLog(log)}, body)
	return log, errors.Join(err, agent.stdin.Close(), agent.Wait())
}

// D22: a tree has its replicas, spares and dependencies on other machines as on this one, up to their capacity.
func TestD22_ATreeOnOtherMachines(t *testing.T) {
	tempdir.Use(t)
	agents := []*other{startAgent(t, "b"), startAgent(t, "c")} // three places each
	worker, needs := onAgent(spec(t, "worker", "good")), spec(t, "needs", "good")
	worker.Replicas, worker.Restart, worker.Standby = 2, config.Transient, 1
	needs.DependsOn = map[string]config.Condition{"worker": config.Healthy}
	worker.Health.Interval = config.Duration(10 * time.Millisecond)
	err := host.OpenTree(t.Context(), host.Options{Serve: "default"}, []host.Spec{worker, needs}, func(ctx context.Context, tree *host.Tree) error {
		if err := tree.Scale(ctx, "worker", 4); err != nil {
			return err
		}
		var on []string
		all, err := directory.Query(ctx, "worker")
		for _, e := range all {
			if e.State != directory.Standby {
				on = append(on, e.Last.Host)
			}
		}
		if err != nil || len(on) != 4 || !slices.Contains(on, "b") || !slices.Contains(on, "c") || slices.Contains(on, "") {
			t.Errorf("D22: they run on %v, %v", on, err)
		}
		first, err := directory.Find(ctx, "worker#2")
		if err != nil {
			return err
		}
		if err := syscall.Kill(first.Entry.Actor.PID, syscall.SIGKILL); err != nil {
			return err
		}
		for e, err := range host.Events(ctx) {
			if err != nil {
				return err
			}
			if e.Path == "worker#2" && e.To == directory.Ready && e.Epoch == 2 {
				break
			}
		}
		return tree.Scale(ctx, "worker", 1)
	})
	if err != nil {
		t.Error(err)
	}
	for _, a := range agents {
		if err := errors.Join(a.stdin.Close(), a.Wait()); err != nil {
			t.Error(err)
		}
	}
}

// D20: nothing is left of what has run on another machine, neither processes nor descriptors of the agent nor files.
func TestD20_NothingIsLeft(t *testing.T) {
	dir := tempdir.Use(t)
	agent := startAgent(t, "b")
	fds := func() int {
		all, err := os.ReadDir("/proc/" + pidOf(agent) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	log, err := openBeside(t, agent, func(ctx context.Context, n *host.Nursery) error {
		var before int
		for i := range 5 {
			p, err := n.Start(ctx, onAgent(spec(t, "worker", "good")))
			if err != nil {
				return err
			}
			pid := p.ID().PID
			if err := p.Cancel(ctx, "again"); err != nil {
				return err
			}
			<-p.Done()
			awaitGone(t, pid)
			switch now := fds(); i {
			case 1:
				before = now
			case 4:
				for late := time.Now().Add(patience); fds() > before; { // go-plugin's connection is let go of behind the rest
					if time.Now().After(late) {
						t.Fatalf("D20: the agent has %d descriptors, and had %d", fds(), before)
					}
				}
			}
		}
		n.Cancel()
		return nil
	})
	if err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	if files, err := os.ReadDir(dir); len(files) > 0 || err != nil {
		t.Errorf("D20: %v is left, %v", files, err)
	}
}

func pidOf(o *other) string { return strconv.Itoa(o.Process.Pid) }

func jsonLog(log *syncBuffer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// D22: a tree that is changed moves its actors.
func TestD22_ApplyMovesAnActor(t *testing.T) {
	tempdir.Use(t)
	agents := []*other{startAgent(t, "b"), startAgent(t, "c")}
	worker := spec(t, "worker", "good")
	worker.On, worker.Restart = &config.On{Host: "b"}, config.Transient
	err := host.OpenTree(t.Context(), host.Options{Serve: "default"}, []host.Spec{worker}, func(ctx context.Context, tree *host.Tree) error {
		for _, to := range []string{"c", ""} {
			if worker.On = nil; to != "" {
				worker.On = &config.On{Host: to}
			}
			changes, err := tree.Apply(ctx, config.Tree{Actors: []config.Actor{worker}})
			if err != nil || len(changes) == 0 {
				t.Errorf("D22: %+v, %v", changes, err)
			}
			found, err := directory.WaitFor(ctx, "worker")
			if err != nil || found.Entry.Last.Host != to {
				t.Errorf("D22: it runs on %q, %v; want %q", found.Entry.Last.Host, err, to)
			}
		}
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
}

// D20: an agent says that it waits for its host, once, and when it has joined it.
func TestD20_AnAgentSaysWhereItIs(t *testing.T) {
	at := filepath.Join(tempdir.Use(t), "socket")
	log := &syncBuffer{}
	ctx, leave := context.WithCancel(t.Context())
	var agents task.Group
	agents.Go(func() {
		if err := host.Agent(ctx, host.AgentOptions{Name: "b", Join: []string{at}, Log: jsonLog(log)}); err != nil {
			t.Error(err)
		}
	})
	const waits, joined = `"msg":"an agent waits for its host, as nothing serves there"`, `"msg":"an agent has joined its host"`
	log.await(t, waits)
	err := host.OpenNursery(t.Context(), host.Options{Serve: at}, func(ctx context.Context, _ *host.Nursery) error {
		log.await(t, joined)
		_, err := directory.WaitFor(ctx, "b")
		leave()
		agents.Close()
		return err
	})
	if text := log.String(); err != nil || strings.Count(text, waits) != 1 || strings.Count(text, joined) != 1 {
		t.Errorf("D20: %v\n%s", err, text)
	}
}
