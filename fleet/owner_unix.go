//go:build unix

package fleet

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether a file is this user's, and nobody else may use it.
func private(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
