package fleet_test

import (
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestMemoryIsARegistry(t *testing.T) {
	trellistest.Fleet(t, func(*testing.T) trellistest.FleetServer {
		m := fleet.NewMemory()
		return trellistest.FleetServer{
			Open:    func(_ *testing.T, ttl time.Duration) fleet.Registry { return m.Client(fleet.Settings{TTL: ttl}) },
			Silence: func(_ *testing.T, silent bool) { m.Cut("", silent) },
			Virtual: true,
		}
	})
}
