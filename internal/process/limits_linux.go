package process

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rlimit is one of the kernel's limits for a process.
type rlimit struct {
	resource int
	name     string
	value    unix.Rlimit
}

// rlimits are the kernel's own terms. The soft and the hard limit are one, but
// for processor time: the signal of the soft one can be told from other deaths,
// and whoever ignores it, as Go programs do, runs into the hard one a second later.
func (l Limits) rlimits() (all []rlimit) {
	add := func(resource int, name string, soft, hard uint64) {
		all = append(all, rlimit{resource, name, unix.Rlimit{Cur: soft, Max: hard}})
	}
	if n := uint64(l.OpenFiles); n > 0 {
		add(unix.RLIMIT_NOFILE, "open_files", n, n)
	}
	if l.Core != nil {
		add(unix.RLIMIT_CORE, "core", uint64(*l.Core), uint64(*l.Core))
	}
	if seconds := uint64(l.CPU / time.Second); seconds > 0 {
		add(unix.RLIMIT_CPU, "cpu", seconds, seconds+1)
	}
	if n := uint64(l.FileSize); n > 0 {
		add(unix.RLIMIT_FSIZE, "file_size", n, n)
	}
	return all
}

// check refuses limits that the kernel would refuse: only a privileged process
// may go beyond its own hard limits. It is asked before the fork, so that a slip in a config
// costs no process, and the error says what to raise.
func (l Limits) check() error {
	for _, r := range l.rlimits() {
		var own unix.Rlimit
		if err := unix.Getrlimit(r.resource, &own); err != nil {
			return &LimitError{r.name, err}
		}
		if r.value.Cur > own.Max {
			return &LimitError{r.name, fmt.Errorf("expected at most %d, which is this host's own hard limit, got %d; raise the host's (ulimit -H) or lower the actor's", own.Max, r.value.Cur)}
		}
	}
	return nil
}

// apply sets the limits of a process. ESRCH means that it has ended already, and how it has will be
// reported.
func (l Limits) apply(pid int) error {
	for _, r := range l.rlimits() {
		var own unix.Rlimit
		if err := unix.Getrlimit(r.resource, &own); err == nil && own.Max < r.value.Max {
			r.value.Max = own.Max // the second that the processor time has more
		}
		if err := unix.Prlimit(pid, r.resource, &r.value, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			return &LimitError{r.name, err}
		}
	}
	return nil
}

// hit is the limit that a process ran into, as far as the system tells; "" if
// none. asked is whether the host itself has killed it.
//
// SIGXFSZ and SIGXCPU say by themselves which limit it was. SIGKILL may come from anybody, so a
// counter has to say that there was a reason for the kernel to send it. A fork that is refused ends
// nobody: a program that cannot live without it ends by itself, with a code of its own.
func (l Limits) hit(exit Exit, used usage, asked bool) string {
	killed := exit.Signal == syscall.SIGKILL && !asked
	switch {
	case exit.Signal == syscall.SIGXFSZ:
		return fmt.Sprintf("file_size: it wrote a file past the limit of %d bytes", l.FileSize)
	case exit.Signal == syscall.SIGXCPU, killed && l.CPU > 0 && used.cpu >= l.CPU:
		return fmt.Sprintf("cpu: it used up its %v of processor time", l.CPU)
	case killed && used.oomKills > 0 && l.Memory > 0:
		return fmt.Sprintf("memory: the kernel killed %d of its processes at the limit of %d MiB", used.oomKills, l.Memory>>20)
	case !exit.Success() && !asked && used.refused > 0 && l.Processes > 0:
		return fmt.Sprintf("processes: %d forks were refused at the limit of %d", used.refused, l.Processes)
	}
	return ""
}
