package etcdembed_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcd"
)

// BenchmarkRegistry is what a registry costs with one server on this machine: go test -bench . -run '^$'.
func BenchmarkRegistry(b *testing.B) {
	began := time.Now()
	s := &server{t: b, name: "registry", dir: b.TempDir(), address: free()}
	s.start()
	s.ready()
	b.Logf("a new server is ready after %v, with %s", time.Since(began).Round(time.Millisecond), memory(b, s.cmd.Process.Pid))
	r, err := etcd.Open(b.Context(), fleet.Settings{Endpoints: []string{s.address}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	m, err := r.Join(b.Context(), fleet.Host{Name: "a"})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("join and leave", func(b *testing.B) {
		for b.Loop() {
			other, err := r.Join(b.Context(), fleet.Host{Name: "b"})
			if err == nil {
				err = other.Leave(b.Context())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hold and release", func(b *testing.B) {
		for b.Loop() {
			_, err := m.Hold(b.Context(), "tree/x")
			if err == nil {
				err = m.Release(b.Context(), "tree/x")
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Find(b.Context(), "host/a"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Logf("in the end the server has %s", memory(b, s.cmd.Process.Pid))
}

// memory is how much a process has in memory.
func memory(b *testing.B, pid int) string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	size, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(size)
}
