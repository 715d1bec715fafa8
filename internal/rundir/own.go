package rundir

import (
	"os"
	"path/filepath"
)

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
