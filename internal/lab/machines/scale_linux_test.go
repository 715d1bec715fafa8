//go:build lab

package machines_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/directory"
)

// hosts is how many machines there are beside the root's.
const hosts = 50

// Fifty hosts with one actor each: all are found and called, and what it costs to have them is logged.
func TestD20_FiftyHosts(t *testing.T) {
	var agents []string
	for i := range hosts {
		agents = append(agents, "m"+strconv.Itoa(i))
	}
	begun := time.Now()
	w := newWorld(t, hosts, agents...)
	machines := map[string]bool{}
	var up time.Duration
	err := w.joined(func(ctx context.Context) error {
		for len(machines) < hosts {
			portals, err := directory.FindAll(ctx, "holder")
			if err != nil && !errors.Is(err, directory.ErrNotFound) {
				return err
			}
			for _, p := range portals {
				h, err := where.Call(ctx, p, struct{}{})
				if err != nil {
					return err
				}
				machines[w.machineOf(h)] = true
			}
		}
		up = time.Since(begun)
		return nil
	})
	if err != nil {
		t.Fatalf("%d of %d machines have an actor: %v\n%s", len(machines), hosts, err, w.outputs())
	}
	const idle = 10 * time.Second // it is a measurement: nothing depends on it
	root, agent := w.used(t, "a"), w.used(t, "m0")
	<-time.After(idle)
	rootAfter, agentAfter := w.used(t, "a"), w.used(t, "m0")
	t.Logf("%d hosts are up after %v; the root has %d MiB and uses %.2f ms of CPU a second, an agent %d MiB and %.2f ms", hosts, up.Round(time.Millisecond),
		rootAfter.rss>>20, perSecond(root, rootAfter, idle), agentAfter.rss>>20, perSecond(agent, agentAfter, idle))
}

// usage is what a program has, and has used.
type usage struct {
	rss int
	cpu time.Duration
}

// perSecond is in milliseconds.
func perSecond(before, after usage, in time.Duration) float64 {
	return float64((after.cpu - before.cpu).Microseconds()) / 1000 / in.Seconds()
}

// used is what the program has used that the test has started on a machine.
func (w *world) used(t *testing.T, machine string) (u usage) {
	t.Helper()
	const (
		afterName = 2 // fields 1 and 2 are the pid and the name
		utime     = 14 - afterName - 1
		stime     = 15 - afterName - 1
		resident  = 24 - afterName - 1
		tick      = time.Second / 100
	)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.procs[machine].cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	number := func(i int) int {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usage{number(resident) * os.Getpagesize(), time.Duration(number(utime)+number(stime)) * tick}
}
