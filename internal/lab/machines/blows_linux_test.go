//go:build lab

package machines_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/shared/fault"
)

// blow is one thing that may happen to a machine on which an actor of a tree runs.
type blow struct {
	name   string
	strike func(w *world, at string, holder who)
	// heal undoes what would go on. It comes when there is a holder again.
	heal func(w *world, at string, holder who)
	// elsewhere says that the next holder is on another machine.
	elsewhere bool
	// rootGone says that the tree itself has ended, and with it whoever had joined.
	rootGone bool
}

func blows() []blow {
	none := func(*world, string, who) {}
	return []blow{
		{name: "the process is killed", strike: func(w *world, _ string, h who) { w.hit(h, syscall.SIGKILL) }, heal: none},
		{name: "the process is stopped", strike: func(w *world, _ string, h who) { w.hit(h, syscall.SIGSTOP) }, heal: none},
		{name: "the agent is killed", elsewhere: true,
			strike: func(w *world, at string, _ who) { w.kill(at) },
			heal:   func(w *world, at string, _ who) { w.empty(at); w.startAgent(at) }},
		{name: "the agent is stopped", elsewhere: true,
			strike: func(w *world, at string, _ who) { w.signal(at, syscall.SIGSTOP) },
			heal:   func(w *world, at string, _ who) { w.signal(at, syscall.SIGCONT) }},
		{name: "the machine is cut off", elsewhere: true,
			strike: func(w *world, at string, _ who) { w.Cut(at) },
			heal:   func(w *world, at string, _ who) { w.Mend(at) }},
		{name: "what the machine sends is lost", elsewhere: true,
			strike: func(w *world, at string, _ who) { w.Block(at, "a") },
			heal:   func(w *world, at string, _ who) { w.Unblock(at, "a") }},
		{name: "what the root sends there is lost", elsewhere: true,
			strike: func(w *world, at string, _ who) { w.Block("a", at) },
			heal:   func(w *world, at string, _ who) { w.Unblock("a", at) }},
		{name: "the root is killed", rootGone: true,
			strike: func(w *world, _ string, _ who) { w.kill("a"); w.startRoot() }, heal: none},
		{name: "the root is stopped",
			strike: func(w *world, _ string, h who) {
				w.signal("a", syscall.SIGSTOP)
				w.gone(h)
				w.signal("a", syscall.SIGCONT)
			}, heal: none},
	}
}

// Whatever happens to a machine: who waits for an actor there is told with an error, the next one starts when the first one
// is certainly gone, and nothing is left. The table of docs/machines.md has the bounds.
func TestD20_BlowsToMachines(t *testing.T) {
	for _, b := range blows() {
		t.Run(b.name, func(t *testing.T) {
			w := newWorld(t, 1, "b", "c")
			before := w.holder()
			at := w.machineOf(before)
			told := make(chan time.Time, 1)
			var failure error
			streaming := make(chan struct{})
			go func() {
				_ = w.joined(func(ctx context.Context) error { // its error is failure, or says that the root is gone
					failure = w.follow(ctx, streaming)
					told <- time.Now()
					return failure
				})
				close(told)
			}()
			<-streaming
			begun := time.Now()
			b.strike(w, at, before)
			heard := <-told
			w.gone(before)
			dead := time.Since(begun)
			after := w.holder()
			back := time.Since(begun)
			if after.PID == before.PID && after.Machine == before.Machine {
				t.Fatalf("the holder is the same: %+v", after)
			}
			if now := w.machineOf(after); b.elsewhere && now == at {
				t.Errorf("the next holder is on %s again", now)
			}
			if failure == nil {
				t.Error("who has followed the holder was told nothing")
			}
			b.heal(w, at, before)
			t.Logf("told after %v (%v); gone after %v; answers again after %v", heard.Sub(begun).Round(time.Millisecond), failure, dead.Round(time.Millisecond), back.Round(time.Millisecond))
			_, died := errors.AsType[*fault.ActorDied](failure)
			_, lost := errors.AsType[*fault.LinkLost](failure)
			_, host := errors.AsType[*fault.HostLost](failure)
			if !died && !lost && !host {
				t.Errorf("who has followed the holder is told %T %v", failure, failure)
			}
		})
	}
}

// A machine with more actors than may be restarted within the window is lost, and the others take them.
func TestD22_AMachineWithManyActors(t *testing.T) {
	const actors = 8
	w := newFleet(t, "b", "c")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.writeTree("", actors, self, "")
	t.Cleanup(w.end)
	w.startRoot()
	w.startAgentFor("b", actors)
	w.ready(actors, func(on map[string]int) bool { return on["b"] == actors })
	w.startAgentFor("c", actors)
	for _, pid := range w.Processes("b") {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended since
	}
	w.ready(actors, func(on map[string]int) bool { return on["c"] == actors })
}

// ready waits until all replicas of the holder are ready, in the right numbers on each machine.
func (w *world) ready(actors int, right func(on map[string]int) bool) {
	w.t.Helper()
	var on map[string]int
	err := w.joined(func(ctx context.Context) error {
		for e, err := range directory.Watch(ctx, "holder") {
			if err != nil {
				return err
			}
			if e.To != directory.Ready {
				continue
			}
			entries, err := directory.Query(ctx, "holder")
			if err != nil {
				return err
			}
			on = map[string]int{}
			up := 0
			for _, entry := range entries {
				if entry.State == directory.Ready {
					on[entry.Last.Host]++
					up++
				}
			}
			if up == actors && right(on) {
				return nil
			}
		}
		return context.Cause(ctx)
	})
	if err != nil {
		w.t.Fatalf("the actors are not where they belong, but %v: %v\n%s", on, err, w.outputs())
	}
}

// follow ranges over what the holder says until that ends.
func (w *world) follow(ctx context.Context, streaming chan<- struct{}) error {
	p, err := directory.WaitFor(ctx, "holder")
	if err != nil {
		return err
	}
	first := true
	for _, err := range ticks.Stream(ctx, p, struct{}{}) {
		if err != nil {
			return err
		}
		if first {
			close(streaming)
			first = false
		}
	}
	return fmt.Errorf("the stream of %v has ended without an error", p)
}

// hit signals the process of an actor.
func (w *world) hit(h who, s syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(h.PID, s); err != nil {
		w.t.Fatal(err)
	}
}

// gone waits until the process of an actor has ended. Its parent may be stopped, and not have noticed.
func (w *world) gone(h who) {
	w.t.Helper()
	w.until(fmt.Sprintf("the holder is gone: %+v", h), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.PID))
		_, state, _ := strings.Cut(string(stat), ") ")
		return err != nil || strings.HasPrefix(state, "Z")
	})
}
