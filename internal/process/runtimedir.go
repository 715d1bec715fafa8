package process

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

const (
	// lockName is the file in a runtime directory that its owner holds locked.
	lockName = "lock"
	// maxSocketPath is what fits into a socket's address everywhere: 103 bytes
	// on darwin, 107 on Linux.
	maxSocketPath = 100
	// socketRoom is what go-plugin appends to a directory that it is given:
	// /plugin-dir and /plugin, each with up to ten digits.
	socketRoom = len("/plugin-dir") + len("/plugin") + 2*10
)

// runtimeDir is the directory of this program.
var runtimeDir struct {
	sync.Mutex
	path    string
	lock    *os.File
	cgroups *hierarchy // nil: not tried yet
	left    []string   // what could not be removed yet
	found   []error    // what nobody has been told of yet
}

// RuntimeDir returns the directory for this program's sockets and other files
// that die with it, and makes it at the first call:
// $TMPDIR/trellis-<uid>/<pid>-<random>, mode 0700. It is the same until
// CloseRuntimeDir, or until somebody has removed or replaced it, as cleaners of /tmp
// do, which each call looks for: then there is another one. Making it removes the directories of this user's programs
// that were killed, and kills what is left in their cgroups; a program that lives
// holds its own by a file lock, which the operating system takes back whatever
// ends it.
//
// It fails if the path leaves too little room for a unix socket, and if
// somebody else owns trellis-<uid>.
func RuntimeDir() (string, error) {
	defer report()
	runtimeDir.Lock()
	defer runtimeDir.Unlock()
	return openRuntimeDir()
}

// openRuntimeDir is RuntimeDir for who holds the lock.
func openRuntimeDir() (string, error) {
	tidy()
	if runtimeDir.path != "" && isIntact() {
		return runtimeDir.path, nil
	}
	base, err := runtimeBase()
	if err != nil {
		return "", err
	}
	sweep(base)
	path, lock, err := claim(base)
	if err != nil {
		return "", fmt.Errorf("runtime directory: %w; TMPDIR must name a directory that can be written", err)
	}
	runtimeDir.path, runtimeDir.lock = path, lock
	return path, noteCgroup()
}

// isIntact reports whether the directory is still this program's. One that is not
// is forgotten; the cgroups live on. The caller holds the lock.
func isIntact() bool {
	info, err := os.Lstat(runtimeDir.path)
	if err == nil && info.IsDir() && isPrivate(info) && sameFile(runtimeDir.lock, filepath.Join(runtimeDir.path, lockName)) == nil && noteCgroup() == nil {
		return true
	}
	closeAll(runtimeDir.lock)
	runtimeDir.found = append(runtimeDir.found, fmt.Errorf("%s was removed or replaced by somebody; there will be another one (is a cleaner of temporary files at work?)", runtimeDir.path))
	runtimeDir.path, runtimeDir.lock = "", nil
	return false
}

// report tells what was found out about directories, without the lock: loggers are
// foreign code.
func report() {
	runtimeDir.Lock()
	found := runtimeDir.found
	runtimeDir.found = nil
	runtimeDir.Unlock()
	for _, err := range found {
		slog.Warn("runtime directory", "problem", err)
	}
}

// CloseRuntimeDir removes the directory with everything in it. Without one it
// does nothing. RuntimeDir would make another one after it.
func CloseRuntimeDir() error {
	runtimeDir.Lock()
	defer runtimeDir.Unlock()
	if runtimeDir.path == "" {
		return nil
	}
	tidy()
	var err error
	if isIntact() {
		err = removeLocked(runtimeDir.path, runtimeDir.lock)
	} else if runtimeDir.cgroups != nil {
		err = removeCgroup(runtimeDir.cgroups.home)
	}
	runtimeDir.path, runtimeDir.lock, runtimeDir.cgroups = "", nil, nil
	return err
}

// discard removes a directory and everything in it. That takes a descriptor; if
// there is none, it is tried again with each later discard and RuntimeDir, and the
// runtime directory takes along what is left.
func discard(path string) {
	runtimeDir.Lock()
	defer runtimeDir.Unlock()
	runtimeDir.left = append(runtimeDir.left, path)
	tidy()
}

// tidy removes what was to be removed before. The caller holds the lock.
func tidy() {
	runtimeDir.left = slices.DeleteFunc(runtimeDir.left, func(path string) bool { return os.RemoveAll(path) == nil })
}

// runtimeBase makes the directory that is common to a user's programs.
func runtimeBase() (string, error) {
	base := filepath.Join(tempRoot(), "trellis-"+strconv.Itoa(os.Getuid()))
	longest := len(base) + len("/4194304-0123456789") + socketRoom
	if longest > maxSocketPath {
		return "", fmt.Errorf("runtime directory: the path of a unix socket below %s would have %d bytes, of which only %d are sure to fit; set TMPDIR to a shorter directory", base, longest, maxSocketPath)
	}
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("runtime directory: %w; TMPDIR must name a directory that can be written", err)
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", fmt.Errorf("runtime directory: %w", err)
	}
	if !info.IsDir() || !isPrivate(info) {
		return "", fmt.Errorf("runtime directory: %s must be a directory of this user's with mode 0700, it is %v; remove it or set TMPDIR to another directory", base, info.Mode())
	}
	return base, nil
}

// claim makes a directory and locks it. A sweeper may find it in between and
// remove it as nobody's; then the lock is not to be had, or is a lock on a file
// that is gone, and the next name is tried.
func claim(base string) (string, *os.File, error) {
	for range 100 {
		path, err := os.MkdirTemp(base, strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return "", nil, err
		}
		lock, err := lockDir(path, os.O_CREATE)
		if err == nil {
			return path, lock, nil
		}
		if !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(path)
			return "", nil, err
		}
	}
	return "", nil, errors.New("every new directory is removed at once by somebody else")
}

// errLocked says that somebody alive has the directory.
var errLocked = errors.New("locked by another process")

// lockDir locks a directory without waiting. The lock counts only if its file
// still is the one in the directory.
func lockDir(path string, create int) (*os.File, error) {
	name := filepath.Join(path, lockName)
	file, err := os.OpenFile(name, os.O_RDWR|create, 0o600)
	if err != nil {
		return nil, err
	}
	err = tryLock(file)
	if err == nil {
		err = sameFile(file, name)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// sameFile compares an open file with what has its name now.
func sameFile(file *os.File, name string) error {
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(name)
	if err == nil && !os.SameFile(opened, named) {
		err = os.ErrNotExist
	}
	return err
}

// sweep removes the directories that nobody holds. What cannot be removed is
// told, and left for the next one who comes.
func sweep(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		path := filepath.Join(base, entry.Name())
		lock, err := lockDir(path, 0)
		switch {
		case err == nil:
			if err := removeLocked(path, lock); err != nil {
				runtimeDir.found = append(runtimeDir.found, fmt.Errorf("%s, which a program that was killed has left, is not removed: %w", path, err))
			}
		case errors.Is(err, os.ErrNotExist):
			_ = os.Remove(path) // one that is not claimed yet, or not removed quite: it is empty
		}
	}
}

// removeLocked removes a directory: the lock only when everything else is gone,
// so that without a lock there is nothing. Somebody else may be at the same
// work when the lock is free.
func removeLocked(path string, lock *os.File) error {
	err := clearCgroups(path)
	if err == nil {
		err = removeInside(path)
	}
	if err != nil {
		_ = lock.Close()
		return err
	}
	err = removeLock(filepath.Join(path, lockName), lock)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Remove(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// removeInside removes everything in a directory but the lock.
func removeInside(path string) error {
	entries, err := os.ReadDir(path)
	for _, entry := range entries {
		if entry.Name() != lockName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(path, entry.Name())))
		}
	}
	return err
}
