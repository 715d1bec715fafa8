package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// ErrOccupied means that another program, which lives, has the socket's name.
var ErrOccupied = errors.New("another program has it")

// What a socket's name ends with in the common directory, and what the name of its lock adds.
const (
	socketSuffix = ".socket"
	lockSuffix   = "." + lockName
)

// socketName is the form of a socket's name in the common directory.
var socketName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Socket is the path of a socket by which programs of one user find each other: address itself,
// if it is a path with a slash in it, or else the one that has address as its name in the
// directory that is common to this user's programs.
func Socket(address string) (path string, err error) {
	switch {
	case strings.ContainsRune(address, os.PathSeparator):
		path, err = filepath.Abs(address)
	case socketName.MatchString(address):
		path = filepath.Join(baseFolder(), address+socketSuffix)
	default:
		err = fmt.Errorf("address %q: expected a name of 1 to 32 letters a-z, digits, - and _, or a path with a slash", address)
	}
	if err == nil && len(path) > maxSocketPath {
		err = fmt.Errorf("address: the path %s has %d bytes, of which only %d are sure to fit into a socket's address; choose a shorter one", path, len(path), maxSocketPath)
	}
	return path, err
}

// How often Occupy tries, and how long it waits in between: others hold the lock for an
// instant while they sweep. Those that look whether somebody has it (Occupied) share it.
const (
	occupyTries = 50
	occupyPause = time.Millisecond
)

// Occupy gives the caller the name of a socket, and removes the socket of a program that
// had it and was killed. Nobody else has the name until release, which also removes the
// socket if the caller has made one. The common folder is made if it is not there; any
// other one has to be there. Errors: [ErrOccupied], whatever lets others into the folder,
// and what is there that is not such a socket.
func Occupy(path string) (release func(made bool), err error) {
	folder := filepath.Dir(path)
	if folder != baseFolder() {
		if err := checkPrivate(folder); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the folder of the socket: %w; make it, for this user only (mode 0700)", err)
		} else if err != nil {
			return nil, err
		}
	}
	lock, err := occupy(path, folder)
	if err != nil {
		return nil, err
	}
	if err := removeSocket(path); err != nil {
		vacate(path, lock, false)
		return nil, err
	}
	return func(made bool) { vacate(path, lock, made) }, nil
}

// occupy takes the lock of a socket.
func occupy(path, folder string) (lock *os.File, err error) {
	locked := false // at one of the attempts: the last one may have met the end of whoever had it
	begun := time.Now()
	for attempt := 0; attempt < occupyTries || !locked && time.Since(begun) < claimBound; attempt++ {
		lock, err = occupyOnce(path, folder)
		if !errors.Is(err, errLocked) && !errors.Is(err, errLooked) && !errors.Is(err, fs.ErrNotExist) {
			return lock, err
		}
		locked = locked || errors.Is(err, errLocked)
		<-time.After(occupyPause) // 50 ms in all, unless others are removing the common directory: no ctx is needed for that
	}
	if locked {
		err = ErrOccupied
	}
	return nil, err
}

func occupyOnce(path, folder string) (*os.File, error) {
	if folder == baseFolder() { // which others remove if it is empty
		if err := makeBase(folder); err != nil {
			return nil, err
		}
	}
	if err := checkPrivate(folder); err != nil {
		return nil, err
	}
	lock, err := lockFile(path+lockSuffix, os.O_CREATE, false)
	if errors.Is(err, errLocked) && !Occupied(path) {
		err = errLooked
	}
	return lock, err
}

// errLooked is that nobody has the name, and others just look whether somebody does. They may take their time for that on a machine
// that has none for them.
var errLooked = errors.New("others look whether it is free")

// Occupied reports whether a program that lives has the name of a socket.
func Occupied(path string) bool {
	lock, err := lockFile(path+lockSuffix, 0, true)
	if err == nil {
		_ = lock.Close() // nothing was written
	}
	return errors.Is(err, errLocked)
}

// vacate removes the lock of a socket, and the socket itself if it was made for that lock;
// but not if they are not this program's any more, since somebody has removed the lock. The
// common directory goes, too, if nobody is left in it.
func vacate(path string, lock *os.File, made bool) {
	if sameFile(lock, path+lockSuffix) != nil {
		_ = lock.Close() // nothing was written
		return
	}
	if made {
		_ = os.Remove(path) // what stays is swept by the next one
	}
	_ = removeLock(path+lockSuffix, lock)
	if base := baseFolder(); filepath.Dir(path) == base {
		removeBase(base)
	}
}

// sweepSocket removes what a program that was killed has left of a socket, if name is that of a
// lock beside one, and nobody holds it. What has taken the socket's place since then stays.
func sweepSocket(name string) {
	path, isLock := strings.CutSuffix(name, lockSuffix)
	if !isLock || !strings.HasSuffix(path, socketSuffix) {
		return
	}
	if lock, err := lockFile(name, 0, false); err == nil {
		_ = removeSocket(path) // else whoever wants to serve there is told what it is
		vacate(path, lock, false)
	}
}

// removeSocket removes a socket at which nobody listens. The caller has the lock; so whoever
// listens all the same does not know of it.
func removeSocket(path string) error {
	err := CheckSocket(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).Dial("unix", path)
	switch {
	case err == nil:
		_ = conn.Close() // nothing was written
		return errors.New("a program that is not a host listens there; choose another address")
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// CheckSocket checks that a path is that of a socket of this user's, in a folder into which
// nobody else can get. Errors: fs.ErrNotExist, and what is wrong.
func CheckSocket(path string) error {
	if err := checkPrivate(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		err = fmt.Errorf("expected a socket at %s, there is %v; remove it, or choose another address", path, info.Mode())
	}
	return err
}

// checkPrivate checks that nobody but this user can get into a folder, or change which one it is.
func checkPrivate(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	if !info.IsDir() || !isPrivate(info) {
		return fmt.Errorf("%s must be a folder of this user's with mode 0700, it is %v; choose an address in another folder", folder, info.Mode())
	}
	return checkOwn(folder)
}
