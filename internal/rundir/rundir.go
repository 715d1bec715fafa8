package rundir

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-2ba35074/trellis/internal/cgroup"
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

// own is what this program has.
var own struct {
	sync.Mutex
	path   string   // the directory; "" if there is none
	lock   *os.File // its lock, held
	tried  bool     // home or noHome is known
	home   string   // the cgroup of this program's children; "" if there is none
	noHome error    // why children get no cgroups (any more)
	left   []string // what could not be removed yet
	found  []error  // what nobody has been told of yet
}

// Open returns the directory for this program's sockets and other files that die with
// it, and makes it at the first call: $TMPDIR/trellis-UID/PID-RANDOM, mode 0700. It is
// the same until Close, or until somebody has removed or replaced it, as cleaners of
// /tmp do, which each call looks for: then there is another one. Making it removes the
// directories of this user's programs that were killed, and kills what is left in their
// cgroups.
//
// It fails if the path leaves too little room for a unix socket, and if somebody else
// owns trellis-UID.
func Open() (string, error) {
	defer report()
	own.Lock()
	defer own.Unlock()
	return open()
}

// open is Open for a caller that holds the lock.
func open() (string, error) {
	tidy()
	if own.path != "" && isIntact() {
		return own.path, nil
	}
	base := baseFolder()
	if longest := len(base) + len("/4194304-0123456789") + socketRoom; longest > maxSocketPath {
		return "", fmt.Errorf("runtime directory: the path of a unix socket below %s would have %d bytes, of which only %d are sure to fit; set TMPDIR to a shorter directory", base, longest, maxSocketPath)
	}
	if checkBase(base) == nil { // else claim makes it, or says why not
		sweep(base)
	}
	path, lock, err := claim(base)
	if err != nil {
		removeBase(base)
		return "", fmt.Errorf("runtime directory: %w", err)
	}
	own.path, own.lock = path, lock
	return path, noteHome()
}

// isIntact reports whether the directory is still this program's. One that is not is
// forgotten; the cgroups live on. The caller holds the lock.
func isIntact() bool {
	info, err := os.Lstat(own.path)
	if err == nil && info.IsDir() && isPrivate(info) && sameFile(own.lock, filepath.Join(own.path, lockName)) == nil && noteHome() == nil {
		return true
	}
	_ = own.lock.Close() // nothing was written
	own.found = append(own.found, fmt.Errorf("%s was removed or replaced by somebody; there will be another one (is a cleaner of temporary files at work?)", own.path))
	own.path, own.lock = "", nil
	return false
}

// report logs what was found out about directories, without the lock: a log handler is
// somebody else's code.
func report() {
	own.Lock()
	found := own.found
	own.found = nil
	own.Unlock()
	for _, err := range found {
		slog.Warn("runtime directory", "problem", err)
	}
}

// Close removes the directory with everything in it, kills what is left in this
// program's cgroup and removes that, too, and the folder of all this user's programs if
// this was the last one. Without a directory it does nothing. Open would make another
// one after it.
func Close() error {
	own.Lock()
	defer own.Unlock()
	if own.path == "" {
		return nil
	}
	tidy()
	var err error
	base := filepath.Dir(own.path)
	if isIntact() {
		err = removeLocked(own.path, own.lock)
	} else if own.home != "" {
		err = cgroup.Remove(own.home)
	}
	removeBase(base)
	own.path, own.lock, own.tried, own.home, own.noHome = "", nil, false, "", nil
	return err
}

// Discard removes a directory and everything in it. That takes a descriptor; if there is
// none, it is tried again with each later Open, and the runtime directory takes along what
// is left. Many may do so at once, as it takes the file system a millisecond.
func Discard(path string) {
	if os.RemoveAll(path) != nil {
		own.Lock()
		defer own.Unlock()
		own.left = append(own.left, path)
	}
}

// tidy removes what was to be removed before. The caller holds the lock.
func tidy() {
	own.left = slices.DeleteFunc(own.left, func(path string) bool { return os.RemoveAll(path) == nil })
}

// baseFolder is the directory that is common to a user's programs.
func baseFolder() string { return filepath.Join(tempRoot(), "trellis-"+strconv.Itoa(os.Getuid())) }

// makeBase makes the directory that is common to a user's programs, if it is not there.
func makeBase(base string) error {
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return noRoom(err)
	}
	return nil
}

// checkBase checks that what has the name of the common directory is one, and this user's.
func checkBase(base string) error {
	info, err := os.Lstat(base)
	if err == nil && (!info.IsDir() || !isPrivate(info)) {
		err = fmt.Errorf("%s must be a directory of this user's with mode 0700, it is %v; remove it or set TMPDIR to another directory", base, info.Mode())
	}
	return err
}

// removeBase removes the common directory unless another program uses it; claim makes it
// again for one that is about to. What checkBase refuses is somebody else's, and stays.
func removeBase(base string) {
	if checkBase(base) == nil {
		_ = os.Remove(base)
	}
}

// While another program removes the base, that is there and takes nothing. On a machine that lets nobody run for long, it
// takes its time in the middle of that, again and again, if such programs come and go.
const (
	quickClaims = 10 // attempts, one right after the other
	claimPause  = 10 * time.Millisecond
	claimBound  = 10 * time.Second
)

// claim makes a directory below base and locks it. Others may remove what they find in
// between: a sweeper the directory, as nobody's, so that its lock cannot be had or is
// a lock on a file that is gone; a program that ends the empty base, which somebody else
// might make then. So both are looked at once more when the lock is held, from when on
// they stay, and otherwise it is tried again. But nobody removes TMPDIR at that moment:
// where base cannot be made, another attempt is of no use.
func claim(base string) (path string, lock *os.File, err error) {
	begun := time.Now()
	for attempt := 0; attempt < quickClaims || time.Since(begun) < claimBound; attempt++ {
		if attempt >= quickClaims {
			<-time.After(rand.N(claimPause)) // not in step with the others
		}
		if err = makeBase(base); err != nil {
			return "", nil, err
		}
		if err = checkBase(base); err == nil {
			path, lock, err = claimOnce(base)
		}
		if err == nil || !errors.Is(err, errLocked) && !errors.Is(err, os.ErrNotExist) {
			return path, lock, err
		}
	}
	return "", nil, fmt.Errorf("every new directory is removed at once by somebody else: %w", err)
}

func claimOnce(base string) (string, *os.File, error) {
	path, err := os.MkdirTemp(base, strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", nil, noRoom(err)
	}
	lock, err := lockDir(path, os.O_CREATE)
	if err == nil {
		if err = checkBase(base); err == nil {
			return path, lock, nil
		}
		_ = lock.Close() // nothing was written
	}
	if errors.Is(err, errLocked) || errors.Is(err, os.ErrNotExist) {
		return "", nil, err
	}
	return "", nil, errors.Join(noRoom(err), os.RemoveAll(path))
}

// noRoom says what to do about an error of making something below TMPDIR.
func noRoom(err error) error {
	return fmt.Errorf("%w; TMPDIR must name a directory that can be written", err)
}

// errLocked means that a living program has the directory.
var errLocked = errors.New("locked by another process")

// lockDir locks a directory without waiting.
func lockDir(path string, create int) (*os.File, error) {
	return lockFile(filepath.Join(path, lockName), create, false)
}

// lockFile locks a file without waiting. The lock counts only if the file still is the one
// that has the name.
func lockFile(name string, create int, shared bool) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|create, 0o600)
	if err != nil {
		return nil, err
	}
	err = tryLock(file, shared)
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
// reported, and left for the next program that comes.
func sweep(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(base, entry.Name())
		if !entry.IsDir() {
			sweepSocket(path)
			continue
		}
		lock, err := lockDir(path, 0)
		switch {
		case err == nil:
			if err := removeLocked(path, lock); err != nil {
				own.found = append(own.found, fmt.Errorf("%s, which a program that was killed has left, is not removed: %w", path, err))
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
	err := clearHome(path)
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
