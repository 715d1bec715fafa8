package host_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/inspect"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/internal/wire"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

func init() {
	role("second", func() { // its first process does not shake hands
		name := os.Getenv("HOST_TEST_FIRST")
		if _, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			if err := os.WriteFile(name+".pipe", nil, 0); err != nil {
				panic(err)
			}
			select {}
		}
		sdk.Serve(goodEndpoints()...)
	})
}

// besideTwo runs a host beside two agents of this process: b, until leave is called, which returns when it has ended, and c, which joins at come.
func besideTwo(t *testing.T, body func(ctx context.Context, n *host.Nursery, come func() error, leave func()) error) {
	t.Helper()
	at := filepath.Join(tempdir.Use(t), "socket")
	quiet := slog.New(slog.DiscardHandler)
	var agents task.Group
	defer agents.Close()
	all, end := context.WithCancel(t.Context())
	defer end()
	first, stop := context.WithCancel(all)
	defer stop()
	begin := func(ctx context.Context, name string) (ended chan struct{}) {
		ended = make(chan struct{})
		agents.Go(func() {
			defer close(ended)
			if err := host.Agent(ctx, host.AgentOptions{Name: name, Join: []string{at}, Log: quiet, Drain: patience}); err != nil {
				t.Error(err)
			}
		})
		return ended
	}
	err := host.OpenNursery(t.Context(), host.Options{Serve: at, Log: quiet}, func(ctx context.Context, n *host.Nursery) error {
		defer n.Cancel()
		b := begin(first, "b")
		return body(ctx, n, func() error {
			begin(all, "c")
			_, err := directory.WaitFor(ctx, "c")
			return err
		}, func() {
			hangs := time.AfterFunc(patience/2, func() { t.Error("D22: an agent that drains does not end") })
			defer hangs.Stop()
			stop()
			<-b
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// D22: an agent that drains keeps no spare, and no actor is moved into one of its own.
func TestD22_ADrainedAgentHasNoSpares(t *testing.T) {
	besideTwo(t, func(ctx context.Context, n *host.Nursery, come func() error, leave func()) error {
		s := onAgent(spec(t, "worker", "good"))
		s.Restart, s.Standby = config.Permanent, 1
		if _, err := n.Start(ctx, s); err != nil {
			return err
		}
		for e, err := range host.Events(ctx) {
			if err != nil {
				return err
			}
			if e.To == directory.Standby {
				break
			}
		}
		if err := come(); err != nil {
			return err
		}
		leave()
		e, err := directory.WaitFor(ctx, "worker")
		if err == nil && (e.Entry.Epoch != 2 || e.Entry.Last.Host != "c") {
			t.Errorf("D22: %+v", e.Entry)
		}
		return err
	})
}

// D22: an actor that is just starting is moved as well.
func TestD22_DrainedDuringAStart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "first")
	if err := unix.Mkfifo(name+".pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	besideTwo(t, func(ctx context.Context, n *host.Nursery, come func() error, leave func()) (err error) {
		s := onAgent(spec(t, "worker", "second"))
		s.Restart, s.Env["HOST_TEST_FIRST"], s.StartTimeout = config.Permanent, name, config.Duration(patience)
		starting := task.Start(func() {
			_, err = n.Start(ctx, s)
		})
		_, opened := os.ReadFile(name + ".pipe") // until the process runs
		opened = errors.Join(opened, come())
		leave()
		starting.Wait()
		e, failure := directory.WaitFor(ctx, "worker")
		if failure == nil && e.Entry.Last.Host != "c" {
			t.Errorf("D22: %+v", e.Entry)
		}
		return errors.Join(opened, err, failure)
	})
}

// D22: an agent in a registry does not go back to a tree whose host has drained it, and ends when all of its hosts have.
func TestD22_ADrainedAgentInARegistryEnds(t *testing.T) {
	tempdir.Use(t)
	machines, memory, quiet := inFleet(t), fleet.NewMemory(), slog.New(slog.DiscardHandler)
	credentials, err := fleet.LoadCredentials(os.Getenv("HOST_TEST_CREDENTIALS"))
	if err != nil {
		t.Fatal(err)
	}
	r := memory.Client(fleet.Settings{})
	var failure error
	agent := task.Start(func() {
		failure = host.Agent(t.Context(), host.AgentOptions{Registry: r, Credentials: credentials, Log: quiet})
	})
	// root opens a tree, and has its body drain the agent.
	root := func(tree string, body func(drain func()) error) error {
		f := *machines
		f.Listen = ownAddress()
		f.Registry, f.Tree = memory.Client(fleet.Settings{}), tree
		err := host.OpenNursery(t.Context(), host.Options{Fleet: &f, Log: quiet}, func(ctx context.Context, n *host.Nursery) error {
			defer n.Cancel()
			return body(func() {
				worker := onAgent(spec(t, "worker", "good"))
				worker.StartTimeout = config.Duration(patience)
				p, err := n.Start(ctx, worker)
				if err == nil {
					err = p.Cancel(ctx, "the agent has joined")
				}
				if err == nil {
					_, err = inspect.Order(ctx, wire.OrderRequest{Name: "b", Do: wire.OrderDrain})
				}
				if err != nil {
					t.Errorf("D22: %s: %v", tree, err)
				}
			})
		})
		return errors.Join(err, f.Registry.Close())
	}
	err = root("first", func(drain func()) error {
		err := root("second", func(drainSecond func()) error {
			drainSecond()
			return nil
		})
		again := root("second", func(func()) error {
			return root("third", func(drainThird func()) error {
				drainThird() // the agent has heard of the second one by now
				drain()
				agent.Wait()
				return nil
			})
		})
		return errors.Join(err, again)
	})
	hosts, left := r.Hosts(t.Context())
	if err := errors.Join(err, failure, left, r.Close()); err != nil || len(hosts) > 0 {
		t.Errorf("D22: %v, left are %+v", err, hosts)
	}
}
