package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Where the system lets it (Linux with cgroup v2, as root or in a part of the
// hierarchy that was delegated to this user), every child of a program with a
// runtime directory lives in a cgroup of its own. Whatever it starts stays in
// there, also what leaves its process group; cgroup.kill reaches all of them. The
// directories are
//
//	BASE/trellis-PID-RANDOM   of this program, noted in its runtime directory
//	…/NUMBER                  of one child, with its limits
//	…/NUMBER/trellis-main     with its processes
//
// BASE is the cgroup that this program itself is in, or the one above if that is
// called trellis-main: a cgroup that has processes of its own cannot have limits
// for those below it. Set TRELLIS_CGROUP to another directory, or to "off", which
// holds for the children as well.
//
// Nobody removes the cgroups of a program that was killed at once. Its children
// die by their lifelines; what has fled from their groups dies at the next start
// of a program, which finds the note in the runtime directory and sweeps.

const (
	// cgroupVar names another base, or is "off".
	cgroupVar = "TRELLIS_CGROUP"
	// cgroupMain holds the processes of one child.
	cgroupMain = "trellis-main"
	// cgroupNote is the file in a runtime directory that names the program's cgroup.
	cgroupNote = "cgroup"
)

// cgroupEnv passes the wish for no cgroups on to children that have children.
func cgroupEnv() []string {
	if os.Getenv(cgroupVar) == "off" {
		return []string{cgroupVar + "=off"}
	}
	return nil
}

// hierarchy is the cgroup of this program's children.
type hierarchy struct {
	home string // "": there is none
	err  error  // why
}

var errCgroupsOff = errors.New(cgroupVar + " is off")

// Cgroups returns the directory in which each child with Spec.Cgroup gets a cgroup
// of its own, or why there is none. It makes the runtime directory.
func Cgroups() (string, error) {
	defer report()
	runtimeDir.Lock()
	defer runtimeDir.Unlock()
	if _, err := openRuntimeDir(); err != nil {
		return "", err
	}
	if h := runtimeDir.cgroups; h == nil || h.home != "" && !exists(h.home) { // somebody has removed it
		home, err := openCgroups(runtimeDir.path)
		if isScarcity(err) {
			return "", err
		}
		runtimeDir.cgroups = &hierarchy{home, err}
	}
	return runtimeDir.cgroups.home, runtimeDir.cgroups.err
}

// isScarcity says that an error may be another one, or none, at the next attempt.
func isScarcity(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC},
		func(errno error) bool { return errors.Is(err, errno) })
}

// giveUpCgroups makes later children live without, for a reason that showed late.
func giveUpCgroups(err error) {
	runtimeDir.Lock()
	defer runtimeDir.Unlock()
	if runtimeDir.cgroups != nil && runtimeDir.cgroups.err == nil {
		runtimeDir.cgroups.err = err
	}
}

// openCgroups makes this program's cgroup. The note is written first: from then on
// a sweeper finds what it has to remove.
func openCgroups(dir string) (string, error) {
	base, err := cgroupBase()
	if err != nil {
		return "", err
	}
	home := filepath.Join(base, "trellis-"+filepath.Base(dir))
	note := filepath.Join(dir, cgroupNote)
	err = os.WriteFile(note, []byte(home), 0o600)
	if err == nil {
		err = makeCgroup(home)
	}
	if err != nil {
		_ = os.Remove(note) // if it cannot be removed, what it names is not there
		return "", err
	}
	return home, nil
}

// noteCgroup writes the note of this program's cgroup if it is not there (any more):
// the runtime directory may be another one by now. The caller holds the lock.
func noteCgroup() error {
	if runtimeDir.cgroups == nil || runtimeDir.cgroups.home == "" {
		return nil
	}
	note := filepath.Join(runtimeDir.path, cgroupNote)
	if exists(note) {
		return nil
	}
	return os.WriteFile(note, []byte(runtimeDir.cgroups.home), 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// clearCgroups kills what is left in the cgroup that a runtime directory's note
// names, and removes it. The note goes last. A note that names something else is
// damaged: then the cgroup is looked for where this program's own would be, and an
// error says so, once, since the note goes, too.
func clearCgroups(dir string) error {
	note := filepath.Join(dir, cgroupNote)
	home, err := os.ReadFile(note)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(home) == 0 {
		return nil // an empty one was never finished, and its cgroup never made
	}
	if err != nil {
		return err
	}
	if !isCgroupOf(string(home), dir) {
		return errors.Join(clearDamaged(dir, home), os.Remove(note))
	}
	if err := removeCgroup(string(home)); err != nil {
		return err
	}
	return os.Remove(note)
}

// isCgroupOf reports whether a cgroup can belong to the program of a runtime
// directory. Both begin with its pid; what follows may differ if the directory is
// not the program's first.
func isCgroupOf(home, dir string) bool {
	pid, _, ok := strings.Cut(filepath.Base(dir), "-")
	return ok && filepath.IsAbs(home) && strings.HasPrefix(filepath.Base(home), "trellis-"+pid+"-")
}

// clearDamaged removes the cgroup of a directory whose note is damaged, if it is
// where it must be expected.
func clearDamaged(dir string, note []byte) error {
	err := fmt.Errorf("its note of a cgroup is damaged (%.200q); what its program left in there may still run", note)
	base, failure := cgroupBase()
	home := filepath.Join(base, "trellis-"+filepath.Base(dir))
	if failure != nil || !exists(home) {
		return err
	}
	return removeCgroup(home)
}

// newCgroup makes a cgroup for the child. Without one in this system it returns
// nil, unless the child's limits need one.
func (p *Process) newCgroup() (*cgroup, error) {
	need := p.spec.Limits.needCgroup()
	if !p.spec.Cgroup && len(need) == 0 {
		return nil, nil
	}
	home, err := Cgroups()
	var c *cgroup
	if err == nil {
		c, err = openCgroup(home, p.spec.Limits)
	}
	switch limit := new(LimitError); {
	case err == nil, errors.As(err, &limit), isScarcity(err):
		return c, err
	case len(need) > 0:
		return nil, &LimitError{limitNames[need[0]], fmt.Errorf("%w: %w", ErrNoCgroup, err)}
	}
	giveUpCgroups(err)
	return nil, nil
}

// limitNames are the limits of cgroup controllers.
var limitNames = map[string]string{"memory": "memory", "pids": "processes"}
