package host

import (
	"strconv"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// debugTime is how long each thing may take that an actor under a debugger does.
const debugTime = 365 * 24 * time.Hour

// underDebugger is a spec with what debug: true stands for.
func underDebugger(spec Spec) Spec {
	if !spec.Debug {
		return spec
	}
	spec.Health.Off, spec.Stuck = true, config.WarnWhenStuck
	for _, bound := range []*config.Duration{&spec.StartTimeout, &spec.CancelTimeout, &spec.Grace, &spec.TermTimeout, &spec.Streams.ReadyTimeout} {
		*bound = config.Duration(debugTime)
	}
	return spec
}

// noteDebugger says how to attach a debugger to a process that has just been executed.
func (x *execution) noteDebugger() {
	if x.spec.Debug {
		x.env.log.Info("debug: no health checks and no bounds; attach a debugger: dlv attach "+strconv.Itoa(x.id.PID), "actor", x.id.String())
	}
}
