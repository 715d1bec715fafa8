package etcdembed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

// long is a lease that no test outlasts by accident, as when a server is started again on a busy machine.
const long = 40 * time.Second

func closing(t *testing.T, r fleet.Registry) fleet.Registry {
	t.Helper()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error("closing:", err)
		}
	})
	return r
}

func join(t *testing.T, r fleet.Registry, name string) fleet.Membership {
	t.Helper()
	m, err := r.Join(t.Context(), fleet.Host{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func hold(t *testing.T, m fleet.Membership, name string) uint64 {
	t.Helper()
	epoch, err := m.Hold(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// renewed waits for a renewal that was sent after now.
func renewed(t *testing.T, m fleet.Membership) {
	t.Helper()
	for before := m.Until().Add(time.Second); !m.Until().After(before); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-m.Lost():
			t.Fatal(m.Err())
		}
	}
}

// again makes the same request until the registry answers.
func again(t *testing.T, ask func() error) {
	t.Helper()
	for {
		err := ask()
		if err == nil {
			return
		}
		if !errors.Is(err, fleet.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// A server that is killed, and is back before the lease is over, changes nothing for those who are members.
func TestServerIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := closing(t, open(t, long, s.address))
	a := join(t, r, "a")
	epoch := hold(t, a, "tree/x")
	s.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Hold(ctx, "tree/y"); !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), s.address) {
		t.Errorf("holding without a server: %v", err)
	}
	s.start()
	s.ready()
	again(t, func() error { _, err := a.Hold(t.Context(), "tree/y"); return err })
	renewed(t, a)
	if e, err := r.Find(t.Context(), "tree/x"); err != nil || e.Epoch != epoch {
		t.Errorf("found %+v, %v; want epoch %d", e, err, epoch)
	}
}

// One that is away for longer ends memberships, and what they held is free when it is back.
func TestServerIsAwayForLongerThanALease(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := closing(t, open(t, 5*time.Second, s.address))
	a := join(t, r, "a")
	epoch := hold(t, a, "tree/x")
	s.kill()
	<-a.Lost()
	if err := a.Err(); !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), s.address) {
		t.Errorf("lost: %v", err)
	}
	s.start()
	s.ready()
	b, err := fleet.WaitJoin(t.Context(), r, fleet.Host{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if later, err := fleet.WaitHold(t.Context(), r, b, "tree/x", nil); err != nil || later <= epoch {
		t.Errorf("held in epoch %d after %d: %v", later, epoch, err)
	}
}

// A registry that is restored from an earlier state is noticed by all that were members of the later one, and by those who watch.
func TestRegistryIsRestored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := closing(t, open(t, long, s.address))
	a := join(t, r, "a")
	s.kill()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.ready()
	again(t, func() error { _, err := a.Hold(t.Context(), "tree/x"); return err })
	var b fleet.Membership
	again(t, func() (err error) { b, err = r.Join(t.Context(), fleet.Host{Name: "b"}); return err })
	seen, done := make(chan struct{}), make(chan []string, 1)
	go func() { done <- followReset(t, r, seen) }()
	<-seen
	s.kill()
	if err := errors.Join(os.RemoveAll(s.dir), os.CopyFS(s.dir, os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.ready()
	for _, m := range []fleet.Membership{a, b} {
		<-m.Lost()
		if err := m.Err(); errors.Is(err, fleet.ErrUnavailable) {
			t.Errorf("it was lost as the registry did not answer: %v", err)
		} else {
			t.Log(err)
		}
	}
	if all := <-done; len(all) > 1 || (len(all) == 1 && all[0] != "host/a") {
		t.Errorf("a watcher sees %v after the restoration", all)
	}
	if _, err := r.Find(t.Context(), "tree/x"); !errors.Is(err, fleet.ErrNotHeld) {
		t.Error(err)
	}
}

// followReset watches until what it saw is void, and returns what is there then.
func followReset(t *testing.T, r fleet.Registry, seen chan struct{}) (all []string) {
	reset := false
	for c, err := range r.Watch(t.Context(), "") {
		if err != nil {
			t.Error(err)
			return nil
		}
		switch {
		case c.Kind == fleet.Reset:
			reset = true
		case c.Kind == fleet.Held && reset:
			all = append(all, c.Name)
		case c.Kind == fleet.Current && reset:
			return all
		case c.Kind == fleet.Current:
			close(seen)
		}
	}
	return nil
}

// told counts what a registry's user is told.
type told struct {
	sync.Mutex
	failures []string
}

func (l *told) log(message string, err error) {
	l.Lock()
	defer l.Unlock()
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s: %v", message, err))
	}
}

func (l *told) all() []string {
	l.Lock()
	defer l.Unlock()
	return l.failures
}

// threeServers are a cluster of children.
func threeServers(t *testing.T) []*server {
	t.Helper()
	var peers []string
	for i := range 3 {
		peers = append(peers, fmt.Sprintf("s%d=%s", i, free()))
	}
	var all []*server
	for i := range 3 {
		s := &server{t: t, name: fmt.Sprintf("s%d", i), dir: t.TempDir(), address: free(), peers: strings.Join(peers, " ")}
		s.start()
		all = append(all, s)
	}
	for _, s := range all {
		s.ready()
	}
	return all
}

// With a majority of the servers all goes on, whichever is killed or frozen. Without one, what runs stays, nothing new is held, and
// that is told.
func TestMajority(t *testing.T) {
	t.Parallel()
	all := threeServers(t)
	var said told
	r, err := etcd.Open(t.Context(), fleet.Settings{Endpoints: []string{all[0].address, all[1].address, all[2].address}, TTL: long, Log: said.log})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, r)
	a := join(t, r, "a")
	hold(t, a, "tree/x")
	for i, s := range all { // each of them once, so the leader too
		s.kill()
		again(t, func() error { _, err := a.Hold(t.Context(), fmt.Sprintf("n/%d", i)); return err })
		s.start()
		s.ready()
	}
	all[1].freeze()
	again(t, func() error { _, err := a.Hold(t.Context(), "n/frozen"); return err })
	all[2].kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := a.Hold(ctx, "n/more"); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("holding without a majority: %v", err)
	}
	if a.Err() != nil {
		t.Fatal(a.Err())
	}
	for len(said.all()) == 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-a.Lost():
			t.Fatal(a.Err())
		}
	}
	all[1].signal(syscall.SIGCONT)
	renewed(t, a)
	again(t, func() error { _, err := a.Hold(t.Context(), "n/more"); return err })
	if e, err := r.Find(t.Context(), "tree/x"); err != nil || e.Holder.Name != "a" {
		t.Errorf("%+v, %v", e, err)
	}
	if n := len(said.all()); n > 20 {
		t.Errorf("it is told %d times: %v", n, said.all())
	}
}

// Servers and clients of a fleet know each other by certificates, and let nobody else in.
func TestCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := fleet.NewCA(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := fleet.NewCA(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ca.Issue("a", filepath.Join(dir, "a"), time.Hour), other.Issue("a", filepath.Join(dir, "stranger"), time.Hour)); err != nil {
		t.Fatal(err)
	}
	address := cluster(t, filepath.Join(dir, "a"))[1].Address()
	for name, works := range map[string]bool{"a": true, "stranger": false, "": false} {
		s := fleet.Settings{Endpoints: []string{address}, TTL: 4 * time.Second}
		if name != "" {
			s.Credentials = filepath.Join(dir, name)
		}
		r, err := etcd.Open(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if works {
			again(t, func() error { _, err := r.Hosts(t.Context()); return err })
		} else if _, err := r.Hosts(t.Context()); !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), address) {
			t.Errorf("%q: %v", name, err)
		} else {
			t.Log(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
