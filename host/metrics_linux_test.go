package host_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/cgroup"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
	"github.com/seed-2ba35074/trellis/shared/telemetry"
)

// eat takes so many MiB of memory, all of which it uses, and dies if it has got them.
var eat = contract.Func[int, none]("eat")

func init() {
	role("glutton", func() {
		sdk.Serve(eat.Handle(func(_ context.Context, mib int) (none, error) {
			block := make([]byte, mib<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			panic(syscall.Kill(syscall.Getpid(), syscall.SIGKILL))
		}))
	})
}

// eaten is how a glutton dies, and the event of its end.
func eaten(t *testing.T, mib int, limit config.Size) (reaped directory.Event, err error) {
	t.Helper()
	ctx := host.WithEvents(t.Context())
	err = host.OpenNursery(ctx, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "glutton", "glutton")
		s.Limits.Memory = limit
		p, err := n.Start(ctx, s)
		if err == nil {
			_, err = eat.Call(context.WithoutCancel(ctx), p, mib)
		}
		return err
	})
	for e := range host.Events(ctx) {
		if e.To == directory.Reaped {
			reaped = e
		}
		if e.To == directory.Gone {
			break
		}
	}
	return reaped, err
}

// N16: how a process has died says what it had used, the event of every end too.
func TestN16_WhatADeadActorHasUsed(t *testing.T) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	mib := int(own.Maxrss>>10) + 64 // more than this process ever had, which counts as its child's too
	reaped, err := eaten(t, mib, 0)
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || died.Signal != "killed" || died.OOM || died.PeakRSS < int64(mib)<<20 || died.CPU <= 0 {
		t.Fatalf("N16: %+v", err)
	}
	if want := (directory.Usage{PeakRSS: died.PeakRSS, CPU: died.CPU}); reaped.Used != want {
		t.Errorf("N16: the event says %+v; want %+v", reaped.Used, want)
	}
}

// N16: an actor that is killed at its limit of memory says that. Where a machine has no such limits, the start fails and says why.
func TestN16_KilledForLackOfMemory(t *testing.T) {
	shortTemp(t)
	reaped, err := eaten(t, 400, 200*config.MiB)
	if errors.Is(err, cgroup.ErrNone) {
		t.Log(err)
		return
	}
	died, ok := errors.AsType[*fault.ActorDied](err)
	if !ok || !died.OOM || !reaped.Used.OOM || died.Limit == "" {
		t.Errorf("N16: %+v; the event says %+v", err, reaped.Used)
	}
}

// O02: the system tells what a process uses, and the host what its last one has.
func TestO02_WhatAProcessUses(t *testing.T) {
	err := host.OpenNursery(t.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		s := spec(t, "good", "good")
		s.Restart = config.Permanent
		p, err := n.Start(ctx, s)
		if err != nil {
			return err
		}
		first := measured(t, ctx)
		for _, path := range []string{"", "good"} {
			if used := first[path].Process; used.CPU <= 0 || used.RSS < 1<<20 || used.Descriptors < 3 {
				t.Errorf("O02: %q uses %+v", path, used)
			}
		}
		if first["good"].Last != (telemetry.Spent{}) {
			t.Errorf("O02: it has a last process: %+v", first["good"].Last)
		}
		_, _ = crash.Call(ctx, p, 3) // it has died
		for err == nil {
			if _, err = echo.Call(ctx, p, "x"); err == nil {
				break
			}
			if errors.Is(err, fault.ErrActorLost) {
				err = nil // of the first process
			}
		}
		if m := measured(t, ctx)["good"]; m.Last.CPU <= 0 || m.Deaths["crashed"] != 1 {
			t.Errorf("O02: %+v", m)
		}
		n.Cancel()
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// BenchmarkO02_ALookAt100Actors is what somebody who looks once in a second costs the root: the processor time of this
// process, of which a look has none of the actors' own. A look at 1 Hz may cost 0.5 % of a core, 5,000 µs. Actors that are busy
// are called once between two looks, and so are asked anew.
func BenchmarkO02_ALookAt100Actors(b *testing.B) {
	b.Run("idle", func(b *testing.B) { lookAt100(b, func(context.Context, *host.Portal) error { return nil }) })
	b.Run("busy", func(b *testing.B) {
		lookAt100(b, func(ctx context.Context, p *host.Portal) error {
			_, err := echo.Call(ctx, p, "x")
			return err
		})
	})
}

func lookAt100(b *testing.B, between func(ctx context.Context, p *host.Portal) error) {
	b.Helper()
	const actors = 100
	err := host.OpenNursery(b.Context(), host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		var portals []*host.Portal
		for i := range actors {
			s := spec(b, fmt.Sprintf("a%d", i), "good")
			s.Health.Off = true
			p, err := n.Start(ctx, s)
			if err != nil {
				return err
			}
			portals = append(portals, p)
		}
		every := time.NewTicker(time.Second)
		defer every.Stop()
		used := time.Duration(0)
		for b.Loop() {
			<-every.C // as a viewer does: whatever was in a cache is not any more
			for _, p := range portals {
				if err := between(ctx, p); err != nil {
					return err
				}
			}
			before := processorTime(b)
			all, err := telemetry.Measure(ctx)
			used += processorTime(b) - before
			if err != nil || len(all) != 1+actors || all[1].Silent != "" {
				return fmt.Errorf("%d actors, %w", len(all), err)
			}
		}
		b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/look")
		n.Cancel()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
