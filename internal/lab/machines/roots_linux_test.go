//go:build lab

package machines_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// Of two roots of a tree the second one waits. When the first one is lost, in whatever way, it begins as soon as the registry gives
// it the name, and the agent on a third machine runs the actor for it then; never are there two of it.
func TestD30_ARootIsLost(t *testing.T) {
	for _, b := range []struct {
		name         string
		strike, heal func(w *world)
	}{
		{"killed", func(w *world) { w.kill("a") }, func(*world) {}},
		{"stopped", func(w *world) { w.signal("a", syscall.SIGSTOP) }, func(w *world) { w.signal("a", syscall.SIGCONT) }},
		{"cut off", func(w *world) { w.Cut("a") }, func(w *world) { w.Mend("a") }},
		{"cut off from the registry only", func(w *world) { w.Block("a", "r") }, func(w *world) { w.Unblock("a", "r") }},
		{"the registry is killed, and comes back", func(w *world) {
			w.kill("r")
			<-w.procs["a"].ended // it cannot know that nobody else has the name
			w.startRegistry()
		}, func(*world) {}},
	} {
		t.Run(b.name, func(t *testing.T) {
			w := newRoots(t)
			before := w.holder()
			begun := time.Now()
			b.strike(w)
			w.root = "b"
			after := w.holder()
			back := time.Since(begun)
			if before.PID == after.PID {
				t.Errorf("the holder is the same: %+v", after)
			}
			b.heal(w)
			select {
			case <-w.procs["a"].ended:
			case <-time.After(enough):
				t.Errorf("the first root does not end\n%s", w.outputs())
			}
			t.Logf("the other root had the actor again after %v", back.Round(time.Millisecond))
		})
	}
}

// newRoots has a server of etcd on machine r, an agent on c, and roots of one tree on a and b, of which the one on a has begun.
func newRoots(t *testing.T) *world {
	t.Helper()
	w := newFleet(t, "b", "c", "r")
	var err error
	if w.binary, err = etcdBinary(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	w.write("r.yaml", fmt.Sprintf(`
name: keeper
fleet: {credentials: %q, registry: {driver: etcdembed, dir: %q, listen: "%s:2379"}}
actors: [{name: idle, command: [%q], env: {%s: idle}}]
`, w.path("r"), w.path("data"), w.Address("r"), self, roleVar))
	for _, machine := range []string{"a", "b", "c"} {
		w.write(machine+".yaml", fmt.Sprintf(`
name: shop
fleet: {credentials: %q, listen: "%s:7077", lease: 3s, registry: {driver: etcd, endpoints: ["%s:2379"], ttl: 4s}}
actors:
  - name: holder
    command: [%q]
    env: {%s: holder, %s: %q, %s: %q}
    restart: permanent
    start_timeout: 1m
    on: {labels: {kind: worker}}
    callers: [joined]
`, w.path(machine), w.Address(machine), w.Address("r"), self, roleVar, ledgerVar, w.path("ledger"), crimesVar, w.path("crimes")))
	}
	w.startRegistry()
	w.start("c", "agent", "-c", w.path("c.yaml"), "--label", "kind=worker")
	w.serve("a")
	w.holder()
	w.serve("b")
	w.until("the second root waits", func() bool { return w.procs["b"].errors.String() != "" })
	return w
}

func (w *world) startRegistry() { w.start("r", "serve", "-c", w.path("r.yaml")) }

// serve starts a root on a machine.
func (w *world) serve(machine string) {
	at := w.root
	w.root = machine
	w.start(machine, "serve", "-c", w.path(machine+".yaml"), "--at", w.socket())
	w.root = at
}
