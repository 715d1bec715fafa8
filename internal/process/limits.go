package process

import (
	"fmt"
	"time"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
)

// Limits bound what a child may use. The zero value sets none. They are set with
// prlimit right after the exec, so that a program which forks in the first
// fraction of a millisecond may have a child without them; Memory and Processes
// have no such moment. (To hold the child before its first instruction would take
// ptrace, under which programs lose the privileges of their file and which
// containers often forbid.)
type Limits struct {
	OpenFiles int           // descriptors of each process
	Core      *int64        // bytes of a core dump of each process; 0: none is written
	CPU       time.Duration // processor time of each process, in whole seconds
	FileSize  int64         // bytes of each file that is written
	Memory    int64         // bytes, of the child and all that it starts; needs a cgroup
	Processes int           // and threads, of the child and all that it starts; needs a cgroup
}

// LimitError is a limit that cannot be set.
type LimitError struct {
	Limit string // as in the config: "memory", "open_files"
	Err   error
}

func (e *LimitError) Error() string { return fmt.Sprintf("limits.%s: %v", e.Limit, e.Err) }

// Unwrap returns Err.
func (e *LimitError) Unwrap() error { return e.Err }

// needGroup reports whether a limit needs a cgroup.
func (l Limits) needGroup() bool { return l.Memory > 0 || l.Processes > 0 }

// applyTo sets the limits that hold for a child and all that it starts.
func (l Limits) applyTo(g *cgroup.Group) error {
	if l.Memory > 0 {
		if err := g.LimitMemory(l.Memory); err != nil {
			return &LimitError{"memory", err}
		}
	}
	if l.Processes > 0 {
		if err := g.LimitProcesses(l.Processes); err != nil {
			return &LimitError{"processes", err}
		}
	}
	return nil
}

// applyNowhere says which limit cannot be set without a cgroup, and why there is none.
func (l Limits) applyNowhere(why error) error {
	name := "processes"
	if l.Memory > 0 {
		name = "memory"
	}
	return &LimitError{name, fmt.Errorf("%w: %w", cgroup.ErrNone, why)}
}

// usage is what is known of a dead process that may have hit a limit.
type usage struct {
	cpu      time.Duration
	oomKills int // processes of its cgroup that were killed for memory
	refused  int // forks that its cgroup refused
}
