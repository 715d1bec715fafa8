package trellistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/internal/task"
)

// FleetServer is what [Fleet] tests the clients of: a registry in which nobody else is.
type FleetServer struct {
	// Open is one more client of the registry, as on another machine, whose leases have that TTL. The test closes it.
	Open func(t *testing.T, ttl time.Duration) fleet.Registry
	// Silence makes the registry answer nobody, or answer again. Without it this is not tested.
	Silence func(t *testing.T, silent bool)
	// Virtual says that the registry is one in this process, which needs no time but that of its leases: then each subtest runs
	// in a bubble of testing/synctest, where nothing is waited for. The default is the time of the machine.
	Virtual bool
}

// Fleet tests an implementation of [fleet.Registry]: each rule that hosts rely on is a subtest, with a registry of its own. What takes
// as long as a lease is waited for, until go test's own time is over.
func Fleet(t *testing.T, open func(t *testing.T) FleetServer) {
	t.Helper()
	for name, rule := range map[string]func(*fleetTest){
		"names":     (*fleetTest).nameRules,
		"exclusive": (*fleetTest).exclusive,
		"leave":     (*fleetTest).leave,
		"update":    (*fleetTest).update,
		"churn":     (*fleetTest).churn,
		"behind":    (*fleetTest).behind,
		"standby":   (*fleetTest).standby,
		"silence":   (*fleetTest).silence,
		"close":     (*fleetTest).closed,
	} {
		t.Run(name, func(t *testing.T) {
			server := open(t)
			if run := func(t *testing.T) { rule(&fleetTest{t, server}) }; server.Virtual {
				synctest.Test(t, run)
			} else {
				run(t)
			}
		})
	}
}

type fleetTest struct {
	*testing.T
	FleetServer
}

// The leases of the tests: one that no machine is too slow for, and one that is waited for.
const (
	longLease  = time.Minute
	shortLease = 5 * time.Second
)

func (f *fleetTest) open(ttl ...time.Duration) fleet.Registry {
	f.Helper()
	r := f.Open(f.T, append(ttl, longLease)[0])
	f.Cleanup(func() {
		if err := r.Close(); err != nil {
			f.Error("closing:", err)
		}
	})
	return r
}

func (f *fleetTest) join(r fleet.Registry, name string) fleet.Membership {
	f.Helper()
	m, err := r.Join(f.Context(), fleet.Host{Name: name, Address: name + ":1"})
	if err != nil {
		f.Fatal("joining:", err)
	}
	return m
}

func (f *fleetTest) hold(m fleet.Membership, name string) uint64 {
	f.Helper()
	epoch, err := m.Hold(f.Context(), name)
	if err != nil {
		f.Fatal("holding:", err)
	}
	return epoch
}

// heldBy wants an error that says who holds a name.
func (f *fleetTest) heldBy(err error, name, host string) {
	f.Helper()
	held, ok := errors.AsType[*fleet.HeldError](err)
	if !ok || held.Name != name || held.Holder.Name != host {
		f.Errorf("%v; want that %s is held by %s", err, name, host)
	}
}

// nobody wants that nobody holds a name.
func (f *fleetTest) nobody(r fleet.Registry, name string) {
	f.Helper()
	if e, err := r.Find(f.Context(), name); !errors.Is(err, fleet.ErrNotHeld) {
		f.Errorf("%s: %+v, %v; want that nobody holds it", name, e, err)
	}
}

func (f *fleetTest) nameRules() {
	one, two := f.open(), f.open()
	a := f.join(one, "a")
	_, err := two.Join(f.Context(), fleet.Host{Name: "a"})
	f.heldBy(err, "host/a", "a")
	b := f.join(two, "b")
	if b.Epoch() <= a.Epoch() {
		f.Errorf("the epochs of a and b are %d and %d; a later one is higher", a.Epoch(), b.Epoch())
	}
	f.nobody(one, "tree/x")
	epoch := f.hold(a, "tree/x")
	if again := f.hold(a, "tree/x"); again != epoch {
		f.Errorf("holding the same name again gives epoch %d, want %d", again, epoch)
	}
	_, err = b.Hold(f.Context(), "tree/x")
	f.heldBy(err, "tree/x", "a")
	if err := b.Release(f.Context(), "tree/x"); err != nil {
		f.Error("releasing what another one holds:", err)
	}
	e, err := two.Find(f.Context(), "tree/x")
	if err != nil || e.Epoch != epoch || e.Holder.Epoch != a.Epoch() || e.Holder.Address != "a:1" {
		f.Errorf("found %+v, %v", e, err)
	}
	if err := a.Release(f.Context(), "tree/x"); err != nil {
		f.Error(err)
	}
	if later := f.hold(b, "tree/x"); later <= epoch {
		f.Errorf("a later holding has epoch %d, an earlier one %d", later, epoch)
	}
	hosts, err := one.Hosts(f.Context())
	if err != nil || len(hosts) != 2 || hosts[0].Name != "a" || hosts[1].Name != "b" || hosts[1].Epoch != b.Epoch() {
		f.Errorf("hosts: %+v, %v", hosts, err)
	}
	f.refusals(one, a)
}

// refusals are names that there cannot be.
func (f *fleetTest) refusals(r fleet.Registry, m fleet.Membership) {
	f.Helper()
	for _, name := range []string{"", "host/c", "tree//x", "tree/", "a b", strings.Repeat("x", fleet.MostName+1)} {
		if _, err := m.Hold(f.Context(), name); err == nil {
			f.Errorf("the name %q can be held", name)
		}
	}
	for _, h := range []fleet.Host{{}, {Name: "a/b"}, {Name: "c", Labels: map[string]string{"l": strings.Repeat("x", fleet.MostHost)}}} {
		if _, err := r.Join(f.Context(), h); err == nil {
			f.Errorf("%.80v can join", h)
		}
	}
	for i := range fleet.MostNames {
		f.hold(m, fmt.Sprintf("many/%d", i))
	}
	if _, err := m.Hold(f.Context(), "many/more"); err == nil {
		f.Errorf("more than %d names can be held", fleet.MostNames)
	}
}

// exclusive has eight hosts fight for one name.
func (f *fleetTest) exclusive() {
	const hosts, rounds = 8, 15
	var holders atomic.Int32
	var mu sync.Mutex
	var epochs []uint64
	var all []*task.Worker
	for i := range hosts {
		m := f.join(f.open(), fmt.Sprintf("h%d", i))
		all = append(all, task.Start(func() {
			for done := 0; done < rounds; {
				epoch, err := m.Hold(f.Context(), "tree/x")
				if _, held := errors.AsType[*fleet.HeldError](err); held {
					continue
				}
				if err != nil {
					f.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					f.Errorf("%d hosts hold one name", n)
				}
				mu.Lock()
				epochs = append(epochs, epoch)
				mu.Unlock()
				done++
				holders.Add(-1)
				if err := m.Release(f.Context(), "tree/x"); err != nil {
					f.Error(err)
					return
				}
			}
		}))
	}
	for _, w := range all {
		w.Wait()
	}
	if len(epochs) != hosts*rounds || !slices.IsSorted(epochs) || len(slices.Compact(slices.Clone(epochs))) != len(epochs) {
		f.Errorf("the epochs of %d holdings in turn: %v; want each above the one before", hosts*rounds, epochs)
	}
}

// leave gives all back at once: whoever finds one name free finds all of them free.
func (f *fleetTest) leave() {
	r, other := f.open(), f.open()
	a := f.join(r, "a")
	for i := range 50 {
		f.hold(a, fmt.Sprintf("n/%d", i))
	}
	if err := a.Leave(f.Context()); err != nil {
		f.Fatal(err)
	}
	<-a.Lost()
	if lost := WantError[*fleet.LostError](f, a.Err()); lost != nil && (!errors.Is(lost, fleet.ErrLeft) || lost.Host != "a" || lost.Epoch != a.Epoch()) {
		f.Errorf("it has ended with %v", lost)
	}
	for i := range 50 {
		f.nobody(other, fmt.Sprintf("n/%d", i))
	}
	f.nobody(other, "host/a")
	if _, err := a.Hold(f.Context(), "n/0"); !errors.Is(err, fleet.ErrLeft) {
		f.Errorf("holding after leaving: %v", err)
	}
	if err := a.Leave(f.Context()); err != nil {
		f.Error("leaving again:", err)
	}
	if again := f.join(other, "a"); again.Epoch() <= a.Epoch() {
		f.Errorf("the epoch of the next membership is %d, of the one before %d", again.Epoch(), a.Epoch())
	}
}

func (f *fleetTest) update() {
	r, other := f.open(), f.open()
	a := f.join(r, "a")
	epoch := f.hold(a, "tree/x")
	changed := fleet.Host{Name: "a", Address: "a:2", Labels: map[string]string{"disk": "ssd"}, Capacity: 3, Draining: true}
	if err := a.Update(f.Context(), changed); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"host/a", "tree/x"} {
		e, err := other.Find(f.Context(), name)
		if err != nil || e.Holder.Address != "a:2" || e.Holder.Labels["disk"] != "ssd" || !e.Holder.Draining || e.Holder.Capacity != 3 || e.Holder.Epoch != a.Epoch() {
			f.Errorf("%s: %+v, %v", name, e, err)
		}
		if name == "tree/x" && e.Epoch != epoch {
			f.Errorf("its epoch has become %d, and was %d", e.Epoch, epoch)
		}
	}
	if err := a.Update(f.Context(), fleet.Host{Name: "b"}); err == nil {
		f.Error("a host can change its name")
	}
}

// standby has a second host wait for a name.
func (f *fleetTest) standby() {
	one, two := f.open(), f.open()
	a, b := f.join(one, "a"), f.join(two, "b")
	first := f.hold(a, "tree/x")
	told := make(chan fleet.Entry, 1)
	var second uint64
	var err error
	waits := task.Start(func() {
		second, err = fleet.WaitHold(f.Context(), two, b, "tree/x", func(e fleet.Entry) { told <- e })
	})
	if e := <-told; e.Holder.Name != "a" || e.Epoch != first {
		f.Errorf("the second one waits for %+v", e)
	}
	if err := a.Leave(f.Context()); err != nil {
		f.Error(err)
	}
	waits.Wait()
	if err != nil || second <= first {
		f.Errorf("the second one holds it in epoch %d after %d: %v", second, first, err)
	}
	ctx, cancel := context.WithCancelCause(f.Context())
	cancel(errStopped)
	if _, err := fleet.WaitHold(ctx, one, b, "tree/y", nil); !errors.Is(err, errStopped) {
		f.Errorf("waiting with a ctx that is over: %v", err)
	}
}

var errStopped = errors.New("stopped by the test")

// silence has a membership run out while the registry says nothing, and never two hosts hold its names.
func (f *fleetTest) silence() {
	if f.Silence == nil {
		return
	}
	one, two := f.open(shortLease), f.open()
	a := f.join(one, "a")
	first := f.hold(a, "tree/x")
	f.Silence(f.T, true)
	<-a.Lost()
	if err := a.Err(); !errors.Is(err, fleet.ErrUnavailable) {
		f.Errorf("the membership has ended with %v", err)
	}
	f.Silence(f.T, false)
	b := f.join(two, "b")
	second, err := fleet.WaitHold(f.Context(), two, b, "tree/x", nil)
	if err != nil || second <= first {
		f.Errorf("held in epoch %d after %d: %v", second, first, err)
	}
	if _, err := a.Hold(f.Context(), "tree/y"); !errors.Is(err, fleet.ErrUnavailable) {
		f.Errorf("a membership that has run out holds something: %v", err)
	}
	// The same host comes back, as a later one.
	if _, err := fleet.WaitJoin(f.Context(), one, fleet.Host{Name: "a"}); err != nil {
		f.Error("joining again:", err)
	}
	if b.Err() != nil || !b.Until().After(a.Until()) {
		f.Errorf("the second one: %v, until %v; the first until %v", b.Err(), b.Until(), a.Until())
	}
}

// closed ends memberships and watches.
func (f *fleetTest) closed() {
	r, other := f.Open(f.T, longLease), f.open()
	a := f.join(r, "a")
	seen := make(chan struct{})
	var ended error
	watch := task.Start(func() {
		for c, err := range r.Watch(f.Context(), "") {
			if ended = err; c.Kind == fleet.Current {
				close(seen)
			}
		}
	})
	<-seen
	if err := r.Close(); err != nil {
		f.Error(err)
	}
	<-a.Lost()
	watch.Wait()
	if !errors.Is(a.Err(), fleet.ErrClosed) || !errors.Is(ended, fleet.ErrClosed) {
		f.Errorf("the membership ended with %v, the watch with %v", a.Err(), ended)
	}
	f.nobody(other, "host/a")
}
