package rundir

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// CacheFolder makes trellis/NAME in the user's cache folder, for what outlives this program, or a folder in the temporary
// directory: the first that can be had and is this user's alone. The second choice may be emptied at each boot. It has
// the uid in its name because all users share that directory.
//
// Whoever can write there decides what this program reads back later, or executes: so a folder that others can change
// is not used, and why not is logged.
func CacheFolder(name string) (string, error) {
	folders := []string{filepath.Join(os.TempDir(), fmt.Sprintf("trellis-cache-%d", os.Getuid()), name)}
	if cache, err := os.UserCacheDir(); err == nil {
		folders = append([]string{filepath.Join(cache, "trellis", name)}, folders...)
	}
	var failures []error
	for _, folder := range folders {
		folder, err := OwnFolder(folder)
		if err == nil {
			if len(failures) > 0 {
				slog.Warn("files are not kept in the usual folder", "folder", folder, "reason", errors.Join(failures...))
			}
			return folder, nil
		}
		failures = append(failures, err)
	}
	return "", fmt.Errorf("there is no folder for %s; set XDG_CACHE_HOME or TMPDIR to one that is this user's alone: %w", name, errors.Join(failures...))
}

// OwnFolder makes a folder in which nobody but this user can change anything, and
// returns its path without links. It fails if it cannot be made or others can
// change what is in it, now or by way of a folder above it.
func OwnFolder(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	if err := checkOwn(folder); err != nil {
		return "", err
	}
	folder, err = filepath.EvalSymlinks(folder)
	if err != nil {
		return "", err
	}
	if err := checkOwn(folder); err != nil {
		return "", err
	}
	return folder, checkWritable(folder)
}

// checkWritable reports why no file can be made in a folder, as on a read-only
// file system.
func checkWritable(folder string) error {
	file, err := os.CreateTemp(folder, "")
	if err != nil {
		return err
	}
	_ = file.Close() // it is empty
	return os.Remove(file.Name())
}
