//go:build unix

package process

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// tempRoot is TMPDIR as it was meant when the program started, but /tmp on darwin, whose usual TMPDIR is too long for
// the sockets below it.
func tempRoot() string {
	if root := environ.Absolute(os.TempDir()); runtime.GOOS != "darwin" || len(root) < 20 {
		return root
	}
	return "/tmp"
}

// isPrivate says that nobody but this user can get in.
func isPrivate(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 == 0
}

// tryLock takes the lock or returns errLocked.
func tryLock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// removeLock removes the file while the lock is held: who opened it before and
// gets the lock after that finds that the file is gone.
func removeLock(name string, lock *os.File) error {
	defer func() { _ = lock.Close() }() // nothing was written
	return os.Remove(name)
}
