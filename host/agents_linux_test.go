package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

// D20: agents do not count among the programs that may join, of which there are 64: a fleet is larger.
func TestD20_MoreAgentsThanPrograms(t *testing.T) {
	const agents = 70
	at := filepath.Join(tempdir.Use(t), "socket")
	quiet := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	var all task.Group
	defer all.Close()
	defer stop()
	err := host.OpenNursery(ctx, host.Options{Serve: at, Log: quiet}, func(ctx context.Context, _ *host.Nursery) error {
		for i := range agents {
			all.Go(func() {
				if err := host.Agent(ctx, host.AgentOptions{Name: fmt.Sprintf("agent-%d", i), Join: []string{at}, Log: quiet}); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range agents {
			if _, err := directory.WaitFor(ctx, fmt.Sprintf("agent-%d", i)); err != nil {
				return err
			}
		}
		return errDone
	})
	if !errors.Is(err, errDone) {
		t.Errorf("D20: not all of %d agents have joined: %v", agents, err)
	}
}

var errDone = errors.New("done")
