//go:build unix

package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkOwn refuses a folder, named by an absolute path, into which others could put
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
