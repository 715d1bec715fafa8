//go:build lab

package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/lab/tempdir"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// soakVar is how many nurseries TestN07_ASoakLeavesNothing opens: 60 by default.
const soakVar = "TRELLIS_SOAK"

// N01, N07, C15, V06: nurseries come and go, their actors are called, killed and
// started again; after the last one this process has what it had after the first.
func TestN07_ASoakLeavesNothing(t *testing.T) {
	n := 60
	if text := os.Getenv(soakVar); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 2 {
			t.Fatalf("%s: expected a number above one, got %q", soakVar, text)
		}
	}
	tempdir.Use(t)
	soakOnce(t, 1) // what is made once is there now
	before := held(t)
	for i := range n {
		soakOnce(t, i)
	}
	after := held(t)
	t.Logf("%d nurseries: before %+v, after %+v", n, before, after)
	if before != after {
		t.Errorf("%d nurseries: before %+v, after %+v", n, before, after)
	}
}

// holdings are what a process has that must not grow.
type holdings struct{ processes, descriptors, goroutines, files int }

func held(t *testing.T) (h holdings) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h.processes, h.descriptors, h.goroutines = len(childrenLeft(t)), len(fds), runtime.NumGoroutine()
	err = filepath.WalkDir(os.TempDir(), func(string, os.DirEntry, error) error { h.files++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// soakOnce has a nursery of three actors: one that is restarted, one that hosts,
// and one that fails in every other round.
func soakOnce(t *testing.T, round int) {
	t.Helper()
	boom := errors.New("boom")
	_, err := open(t, host.Options{}, func(ctx context.Context, n *host.Nursery) error {
		lasting := spec(t, "lasting", "good")
		lasting.Restart = config.Permanent
		p, err := n.Start(ctx, lasting)
		if err != nil {
			return err
		}
		hosting := spec(t, "hosting", "hosting")
		hosting.Actors = []host.Spec{spec(t, "leaf", "good")}
		q, err := n.Start(ctx, hosting)
		if err != nil {
			return err
		}
		ended := hold(ctx, n, forever, q)
		if _, err := below.Call(ctx, q, "hello"); err != nil {
			return err
		}
		if _, err := crash.Call(ctx, p, -1); !diedNow(err) {
			return err
		}
		if _, err := echo.Call(ctx, p, "again"); err != nil {
			return err
		}
		if round%2 == 0 {
			return boom
		}
		err = errors.Join(q.Cancel(ctx, "done"), p.Cancel(ctx, "done"))
		<-ended
		return err
	})
	if round%2 == 0 && !errors.Is(err, boom) || round%2 != 0 && err != nil {
		t.Errorf("round %d: %v", round, err)
	}
}

func diedNow(err error) bool {
	_, died := errors.AsType[*fault.ActorDied](err)
	return died
}
