//go:build browser

package page_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/page"
	"github.com/seed-2ba35074/trellis/sdk"
	"github.com/seed-2ba35074/trellis/shared/contract"
)

// Of a busy tree: the checks of an actor pass and fail in turn, and each is an event and a record.
const (
	busyActors   = 200
	busyInterval = 200 * time.Millisecond
	busyArgument = "actor-of-a-busy-tree"
)

var well = contract.Func[struct{}, struct{}]("well")

// TestMain is an actor of a busy tree, if its arguments say so.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || os.Args[1] != busyArgument {
		os.Exit(m.Run())
	}
	var n atomic.Int64
	sdk.Serve(well.Handle(func(context.Context, struct{}) (struct{}, error) {
		if n.Add(1)%2 == 0 {
			return struct{}{}, errors.New("every second check fails")
		}
		return struct{}{}, nil
	}))
}

// written counts the bytes that a handler writes.
type written struct {
	http.Handler
	bytes atomic.Int64
}

type counted struct {
	http.ResponseWriter
	to *atomic.Int64
}

func (c counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c counted) Write(text []byte) (int, error) {
	n, err := c.ResponseWriter.Write(text)
	c.to.Add(int64(n))
	return n, err
}

func (w *written) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w.Handler.ServeHTTP(counted{to, &w.bytes}, r)
}

// A tree of 200 actors that tells 1,000 events a second is shown: testdata/busy.mjs looks at it, as a program that reads events and numbers, and
// in a browser, and fails if the page does not show it, or does not answer. What that costs the host is written, and nothing depends on it
// (docs/performance.md).
func TestInABrowserABusyTree(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var specs []host.Spec
	for i := range busyActors {
		specs = append(specs, host.Spec{
			Name: fmt.Sprintf("actor%03d", i), Command: []string{self, busyArgument},
			Health: config.Health{Interval: config.Duration(busyInterval), Endpoint: well.Name(), Timeout: config.Duration(time.Minute)}, // however slow the machine is
		})
	}
	err = host.OpenTree(t.Context(), host.Options{Log: slog.New(slog.DiscardHandler)}, specs, func(ctx context.Context, _ *host.Tree) error {
		p := page.New(ctx, page.Options{Token: "secret"})
		w := &written{Handler: p}
		server := httptest.NewServer(w)
		defer server.Close()
		nobody := busy(t, w, func() error { return look(ctx, "nobody", "") })
		program := busy(t, w, func() error { return look(ctx, "program", server.URL) })
		browser := busy(t, w, func() error { return look(ctx, "browser", server.URL+p.Invite()) })
		again := busy(t, w, func() error { return look(ctx, "nobody", "") })
		t.Logf("the host takes %.1f and %.1f %% of a processor when nobody looks; a program takes %.1f %% more, and %.0f kB/s; a browser %.1f %%, and %.0f kB/s", nobody.cpu, again.cpu,
			program.cpu-(nobody.cpu+again.cpu)/2, program.bytes/1000, browser.cpu-(nobody.cpu+again.cpu)/2, browser.bytes/1000)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// look has a script look for as long as it says, which tells when it begins and ends.
func look(ctx context.Context, how, at string) error {
	script := exec.CommandContext(ctx, "node", "testdata/busy.mjs", how, at)
	script.Stdout, script.Stderr = os.Stdout, os.Stderr
	return script.Run()
}

// cost is what somebody costs the host who looks: percent of a processor, and bytes in a second.
type cost struct{ cpu, bytes float64 }

func busy(t *testing.T, w *written, f func() error) cost {
	t.Helper()
	begun, cpu, bytes := time.Now(), ownTime(t), w.bytes.Load()
	if err := f(); err != nil {
		t.Error(err)
	}
	length := time.Since(begun).Seconds()
	return cost{100 * (ownTime(t) - cpu).Seconds() / length, float64(w.bytes.Load()-bytes) / length}
}

// ownTime is the processor time of this process, which is the host.
func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
