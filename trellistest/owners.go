package trellistest

import (
	"strings"
	"sync"

	"github.com/seed-2ba35074/trellis/internal/life"
	"github.com/seed-2ba35074/trellis/shared/actor"
)

// served are the actors of this process that have not ended. A hook that is registered by code
// of one of them is its own.
var served struct {
	sync.Mutex
	hooks map[string]*life.Hooks // by UUID of the actor
}

// own makes the hooks of sdk.OnExit that the actor's code registers its own.
func own(id actor.ID, hooks *life.Hooks) {
	served.Lock()
	defer served.Unlock()
	if served.hooks == nil {
		served.hooks = map[string]*life.Hooks{}
		life.Own(hooksOfCaller)
	}
	served.hooks[id.UUID] = hooks
}

func disown(id actor.ID) {
	served.Lock()
	defer served.Unlock()
	delete(served.hooks, id.UUID)
}

// hooksOfCaller finds the actor that the calling goroutine belongs to. The runtime does not tell
// a goroutine its own labels, but the profile does, in which the caller is the one that writes
// the profile; the lock keeps all others from doing that here.
func hooksOfCaller() *life.Hooks {
	served.Lock()
	defer served.Unlock()
	for _, g := range allGoroutines() {
		if !strings.Contains(g.stack, "trellistest.hooksOfCaller\n") || !strings.Contains(g.stack, "pprof.writeRuntimeProfile\n") {
			continue
		}
		for uuid, hooks := range served.hooks {
			if strings.Contains(g.labels, uuid) {
				return hooks
			}
		}
	}
	return nil
}
