package host_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/directory"
)

func init() {
	role("chain", func() {
		sdk.OnExit(func() { note("hook") })
		sdk.Plugin{Hosts: hostsAndNotes}.Serve()
	})
}

// hostsAndNotes is host.Subtree, and notes every step of force against its one child.
func hostsAndNotes(ctx context.Context, tree []byte, serve func(context.Context) error) error {
	ctx = host.WithEvents(ctx)
	defer func() {
		for e := range host.Events(ctx) {
			if treepath.Host(e.Path) != directory.Here(ctx) {
				continue // a child's own affair
			}
			if e.Step != "" {
				note(e.String())
			}
			if e.To == directory.Gone {
				return
			}
		}
	}()
	return host.Subtree(ctx, tree, serve)
}

// TestN08_LongChainEndsWithoutForce: an idle actor that hosts one that hosts one, and so
// on. Each level needs a moment to end, after the one below it, and all of them together
// take as long as the machine takes: the bounds must not be what the test trips over. There
// are 14 levels, and 50 with make soak.
func TestN08_LongChainEndsWithoutForce(t *testing.T) {
	parallel(t)
	depth := 10 + 2*rounds(t)
	s, read := diary(t, "chain")
	patient := config.Duration(10 * time.Minute)
	s.StartTimeout, s.CancelTimeout, s.Grace, s.Health.Off = patient, patient, patient, true
	for range depth - 1 {
		above := s
		above.Actors = []host.Spec{s}
		s = above
	}
	var begun time.Time
	err := host.OpenNursery(t.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		_, err := n.Start(ctx, s)
		begun = time.Now()
		n.Cancel()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d levels ended in %v", depth, time.Since(begun))
	lines := strings.Split(strings.TrimSpace(read()), "\n")
	if want := slices.Repeat([]string{"hook"}, depth); !slices.Equal(lines, want) {
		t.Errorf("want %d hooks and nothing else, got %s", depth, fmt.Sprint(lines))
	}
}
