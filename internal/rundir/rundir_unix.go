//go:build unix

package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// tempRoot is TMPDIR as it was meant when the program started, but /tmp on darwin, whose
// usual TMPDIR is too long for the sockets below it.
func tempRoot() string {
	if root := environ.Absolute(os.TempDir()); runtime.GOOS != "darwin" || len(root) < 20 {
		return root
	}
	return "/tmp"
}

// isPrivate reports whether nobody but this user can get in.
func isPrivate(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 == 0
}

// tryLock takes the lock, which many may share, or returns errLocked.
func tryLock(file *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// removeLock removes the file while the lock is held: whoever opened it before and
// gets the lock after that finds that the file is gone.
func removeLock(name string, lock *os.File) error {
	defer func() { _ = lock.Close() }() // nothing was written
	return os.Remove(name)
}

// something: by the mode or the owner of the folder, of one above it, or of a link
// on the way. Root may do everything anyway.
func checkOwn(folder string) error {
	for path := folder; ; path = filepath.Dir(path) {
		link, err := os.Lstat(path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		switch {
		case !info.IsDir():
			return fmt.Errorf("%s is not a folder", path)
		case !hasOurOwner(link) || !hasOurOwner(info):
			return fmt.Errorf("%s belongs to another user, who can change what is in %s", path, folder)
		case info.Mode().Perm()&0o022 != 0 && (path == folder || info.Mode()&os.ModeSticky == 0):
			return fmt.Errorf("%s can be written by others (%v), who can change what is in %s", path, info.Mode(), folder)
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

// hasOurOwner reports whether a file belongs to this user or to root.
func hasOurOwner(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == os.Geteuid() || stat.Uid == 0)
}
