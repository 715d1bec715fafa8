package fleet_test

import (
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/fleet"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestMemoryIsARegistry(t *testing.T) {
	trellistest.Fleet(t, func(t *testing.T) trellistest.FleetServer {
		m := fleet.NewMemory(fleet.Settings{TTL: 2 * time.Second})
		return trellistest.FleetServer{
			Open:    func(*testing.T) fleet.Registry { return m.Client() },
			Silence: func(_ *testing.T, silent bool) { m.Cut("", silent) },
		}
	})
}
