package host_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// Between real processes: the actor in the middle is killed with SIGKILL. Each one below it is told
// gone, with that reason, before its host is told reaped; then all are there again.
func TestO01_TheMiddleIsKilled(t *testing.T) {
	parallel(t)
	leaf, lower, middle := spec(t, "leaf", "good"), spec(t, "lower", "hosting"), spec(t, "middle", "hosting")
	lower.Actors = []host.Spec{leaf}
	middle.Actors = []host.Spec{lower, spec(t, "parser", "good")}
	middle.Restart = config.Permanent
	ctx := host.WithEvents(t.Context())
	var killed int
	err := host.OpenTree(ctx, host.Options{Log: slog.New(slog.DiscardHandler)}, []host.Spec{middle}, func(ctx context.Context, _ *host.Tree) error {
		if _, err := directory.WaitFor(ctx, "parser"); err != nil {
			return err
		}
		found, err := directory.WaitFor(ctx, "leaf")
		if err != nil {
			return err
		}
		// What the kernel says of the process is what its host's host has heard of it.
		program, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(found.Entry.Actor.PID), "exe"))
		if self, _ := os.Executable(); program != self || err != nil {
			t.Errorf("D01: the process %d runs %q, %v", found.Entry.Actor.PID, program, err)
		}
		top, err := directory.Find(ctx, "middle")
		if err != nil {
			return err
		}
		killed = top.Entry.Actor.PID
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			return err
		}
		for e, err := range directory.Watch(ctx, "leaf") {
			if err != nil || e.To == directory.Ready && !e.Actor.Is(found.Entry.Actor) {
				return err
			}
		}
		return errors.New("the tree has ended")
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	var told []directory.Event
	for e, err := range host.Events(ended) {
		if err != nil {
			t.Error(err)
		}
		told = append(told, e)
	}
	wellTold(t, told)
	var gone []string
	for _, e := range told {
		if e.Path == "middle" && e.To == directory.Reaped {
			break
		}
		died, ok := errors.AsType[*fault.ActorDied](e.Err)
		if e.To == directory.Gone && e.Cause == directory.Lost && ok && died.ID.PID == killed && died.Signal == "killed" {
			gone = append(gone, e.Path)
		}
	}
	if want := []string{"middle/parser", "middle/lower/leaf", "middle/lower"}; !slices.Equal(gone, want) {
		t.Errorf("O01: %v were told gone with their host's death; want %v", gone, want)
	}
}
