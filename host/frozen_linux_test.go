package host_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// D22: a start ends in time, or with its ctx, though the agent is frozen to which the program is to be sent.
func TestD22_AFrozenAgentIsSentAProgram(t *testing.T) {
	for _, way := range []string{"start_timeout", "its ctx ends"} {
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
				if way != "start_timeout" {
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
				return nil
			})
			if err := errors.Join(err, agent.Process.Signal(syscall.SIGCONT), agent.stdin.Close(), agent.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}
