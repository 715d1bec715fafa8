package etcdembed_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
)

// Ten thousand names, held by a hundred hosts: a watcher that was there before and one that comes after have
// all of them, each is found, and all of a host's go at once.
func TestTenThousandNames(t *testing.T) {
	const hosts = 100
	s := newServer(t)
	r := closing(t, s.open(t, time.Minute))
	name := func(host, i int) string { return fmt.Sprintf("name/%d/%d", host, i) }
	followed := make(chan map[string]bool)
	began := make(chan struct{})
	go func() { followed <- follow(t, r, hosts*fleet.MostNames, sync.OnceFunc(func() { close(began) })) }()
	<-began
	begun := time.Now()
	members := make([]fleet.Membership, hosts)
	var holding sync.WaitGroup
	for h := range hosts {
		members[h] = join(t, r, fmt.Sprintf("host-%d", h))
		holding.Go(func() {
			for i := range fleet.MostNames {
				if _, err := members[h].Hold(t.Context(), name(h, i)); err != nil {
					t.Errorf("%s: %v", name(h, i), err)
					return
				}
			}
		})
	}
	holding.Wait()
	if t.Failed() {
		return
	}
	held := time.Since(begun)
	if seen := <-followed; len(seen) != hosts*fleet.MostNames {
		t.Errorf("a watcher from before has seen %d names", len(seen))
	}
	begun = time.Now()
	if seen := follow(t, r, hosts*fleet.MostNames, func() {}); len(seen) != hosts*fleet.MostNames {
		t.Errorf("a watcher that came later has seen %d names", len(seen))
	}
	read := time.Since(begun)
	for h := range hosts {
		if e, err := r.Find(t.Context(), name(h, h)); err != nil || e.Holder.Name != fmt.Sprintf("host-%d", h) {
			t.Errorf("%s is held by %q: %v", name(h, h), e.Holder.Name, err)
		}
	}
	if err := members[7].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range fleet.MostNames {
		if e, err := r.Find(t.Context(), name(7, i)); err == nil {
			t.Errorf("%s is still held by %s", name(7, i), e.Holder.Name)
		}
	}
	t.Logf("%d names were held after %v, and read by a new watcher in %v", hosts*fleet.MostNames, held.Round(time.Millisecond), read.Round(time.Millisecond))
}

// follow collects the names that a watch tells of, until there are n. current is called when it has told
// what was there before.
func follow(t *testing.T, r fleet.Registry, n int, current func()) map[string]bool {
	seen := map[string]bool{}
	for c, err := range r.Watch(t.Context(), "name/") {
		if err != nil {
			t.Error(err)
			break
		}
		switch c.Kind {
		case fleet.Held:
			seen[c.Name] = true
		case fleet.Current:
			current()
		case fleet.Reset:
			clear(seen)
		case fleet.Released, fleet.Changed:
			t.Errorf("%s is %s", c.Name, c.Kind)
		}
		if len(seen) == n {
			break
		}
	}
	return seen
}
