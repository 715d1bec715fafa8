package etcdembed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/registry/etcdembed"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestOneServerIsARegistry(t *testing.T) {
	t.Parallel()
	trellistest.Fleet(t, func(t *testing.T) trellistest.FleetServer {
		s := newServer(t)
		return trellistest.FleetServer{Open: s.open, Silence: s.silence}
	})
}

// Each client asks another one of three servers.
func TestThreeServersAreARegistry(t *testing.T) {
	t.Parallel()
	trellistest.Fleet(t, func(t *testing.T) trellistest.FleetServer {
		servers := cluster(t, "")
		next := 0
		return trellistest.FleetServer{Open: func(t *testing.T, ttl time.Duration) fleet.Registry {
			next++
			return open(t, ttl, servers[next%3].Address())
		}}
	})
}

// cluster is three servers in this process.
func cluster(t *testing.T, credentials string) (all []*etcdembed.Server) {
	t.Helper()
	peers := map[string]string{}
	for i := range 3 {
		peers[fmt.Sprintf("s%d", i)] = free()
	}
	for name := range peers {
		s, err := etcdembed.Start(fleet.Settings{Name: name, Dir: t.TempDir(), Peers: peers, Credentials: credentials})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
