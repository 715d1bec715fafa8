package trellistest_test

import (
	"testing"

	"github.com/seed-2ba35074/trellis/shared/directory"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// The registry of a host keeps its own rules, at the root and elsewhere.
func TestD01_MemoryIsARegistry(t *testing.T) {
	for _, at := range []string{"", "census"} {
		t.Run(at, func(t *testing.T) {
			trellistest.Registry(t, func(t *testing.T) directory.Registry {
				r := directory.NewMemory(at, nil)
				t.Cleanup(r.Finish)
				return r
			})
		})
	}
}
