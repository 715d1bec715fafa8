package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
)

// noteName is the symbolic link in a runtime directory that names the program's cgroup.
// It is a link because that is made whole or not at all, also on a disk that is full.
const noteName = "cgroup"

// Cgroup returns the cgroup below which each child of this program gets one of its own,
// or why there is none. It makes the runtime directory.
func Cgroup() (string, error) {
	defer report()
	own.Lock()
	defer own.Unlock()
	if _, err := open(); err != nil {
		return "", err
	}
	if !own.tried || own.home != "" && !exists(own.home) { // somebody has removed it
		home, err := openHome(own.path)
		if IsScarcity(err) {
			return "", err
		}
		own.tried, own.home, own.noHome = true, home, err
	}
	return own.home, own.noHome
}

// GiveUpCgroups makes later children live without, for a reason that showed late.
func GiveUpCgroups(why error) {
	own.Lock()
	defer own.Unlock()
	if own.noHome == nil {
		own.noHome = why
	}
}

// IsScarcity reports whether an error may be another one, or none, at the next attempt.
func IsScarcity(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC},
		func(errno error) bool { return errors.Is(err, errno) })
}

// openHome makes this program's cgroup. The note is written first: from then on a
// sweeper finds what it has to remove.
func openHome(dir string) (string, error) {
	base, err := cgroup.Base()
	if err != nil {
		return "", err
	}
	home := filepath.Join(base, "trellis-"+filepath.Base(dir))
	note := filepath.Join(dir, noteName)
	_ = os.Remove(note) // of a cgroup that somebody has removed
	if err = os.Symlink(home, note); err == nil {
		err = cgroup.MakeHome(home)
	}
	if err != nil {
		_ = os.Remove(note) // if it cannot be removed, what it names is not there
		return "", err
	}
	return home, nil
}

// noteHome writes the note of this program's cgroup if it is not there any more: the
// runtime directory may be another one by now. The caller holds the lock.
func noteHome() error {
	if own.home == "" {
		return nil
	}
	if err := os.Symlink(own.home, filepath.Join(own.path, noteName)); !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// clearHome kills what is left in the cgroup that a runtime directory's note names, and
// removes it. The note goes last. One that names something else is not this package's
// work: it goes, too, so that the error which says so comes once.
func clearHome(dir string) error {
	note := filepath.Join(dir, noteName)
	home, err := os.Readlink(note)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil || !isHomeOf(home, dir):
		damaged := fmt.Errorf("its note of a cgroup is damaged (%.200q); what its program left in there may still run", home)
		return errors.Join(damaged, os.RemoveAll(note))
	}
	if err := cgroup.Remove(home); err != nil {
		return err
	}
	return os.Remove(note)
}

// isHomeOf reports whether a cgroup can belong to the program of a runtime directory.
// Both begin with its pid; what follows may differ if the directory is not the
// program's first.
func isHomeOf(home, dir string) bool {
	pid, _, ok := strings.Cut(filepath.Base(dir), "-")
	return ok && filepath.IsAbs(home) && strings.HasPrefix(filepath.Base(home), "trellis-"+pid+"-")
}
