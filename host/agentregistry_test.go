package host

import (
	"context"
	"log/slog"
	"testing"

	"github.com/seed-2ba35074/trellis/fleet"
)

// D22: an agent that one tree has drained does not end when another one's root is lost: the next root there finds it.
func TestD22_DrainedByOneTreeOfTwo(t *testing.T) {
	for _, lost := range []bool{true, false} {
		a, err := newAgent(AgentOptions{Name: "b", Registry: fleet.NewMemory().Client(fleet.Settings{}), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, a.end = context.WithCancel(t.Context())
		stays := map[string]*treeStay{}
		first, second := a.staying(stays, "tls://a@x", "first"), a.staying(stays, "tls://c@y", "second")
		drained := func(t *treeStay) { (&seat{agent: a, trees: t, left: make(chan struct{})}).dismissed() }
		drained(first)
		a.stayed(first)
		if !lost {
			drained(second)
		}
		a.stayed(second)
		if over := ctx.Err() != nil; over == lost {
			t.Errorf("D22: after the second tree was lost (%v) or has drained it, the agent has ended: %v", lost, over)
		}
		a.end()
	}
}
