package rundir

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

func tempRoot() string { return environ.Absolute(os.TempDir()) }

// isPrivate trusts the access list of the user's own temporary directory.
func isPrivate(fs.FileInfo) bool { return true }

// tryLock takes the lock, which many may share, or returns errLocked.
func tryLock(file *os.File, shared bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// removeLock gives up the lock first, as an open file cannot be removed. For the
// same reason it fails if somebody has the file open to lock it.
func removeLock(name string, lock *os.File) error {
	_ = lock.Close()
	return os.Remove(name)
}

// checkOwn trusts the access lists of the user's own folders.
func checkOwn(string) error { return nil }
