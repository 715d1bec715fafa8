package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-2ba35074/trellis/internal/rundir"
)

// Built programs are kept in trellis/programs below the user's cache folder
// ($XDG_CACHE_HOME or ~/.cache on Linux), each in the folder of the source folder
// that it was built from:
//
//	…/trellis/programs/SOURCE/PACKAGE-SUM
//	…/trellis/programs/SOURCE/fresh-RANDOM/…   while it is built
//
// Build marks each that it needs as used, and removes what has not been used for
// keptUnused. Whoever can write there decides what a host executes, so a folder
// that others can change is not used.

// keptUnused is how long a program is kept that no build has asked for.
const keptUnused = 30 * 24 * time.Hour

// openPrograms makes the folder for programs.
func openPrograms() (string, error) { return rundir.CacheFolder("programs") }

// CleanPrograms removes the built programs that no Build has needed for as long as
// unused says, 0 for all of them, and returns the folder that they were in and how
// many bytes that freed. Programs that run go on running; a host whose actor's
// program is gone builds it anew when the actor restarts.
func CleanPrograms(unused time.Duration) (folder string, freed int64, err error) {
	if folder, err = openPrograms(); err != nil {
		return "", 0, err
	}
	freed, err = trimPrograms(folder, unused, time.Now())
	return folder, freed, err
}

// trimPrograms removes what has not been used for some time. It takes no lock: builds of
// other programs may go on in the same folder. A program that is removed just before it
// would be started is built anew ([rebuild]), and a program that runs keeps its file until
// it ends. Failures are collected, and do not keep the rest from being removed.
func trimPrograms(folder string, unused time.Duration, now time.Time) (freed int64, err error) {
	oldest := now.Add(-unused)
	sources, err := os.ReadDir(folder)
	for _, source := range sources {
		if !source.IsDir() {
			continue
		}
		dir := filepath.Join(folder, source.Name())
		entries, failure := os.ReadDir(dir)
		err = errors.Join(err, failure)
		for _, entry := range entries {
			size, failure := trim(filepath.Join(dir, entry.Name()), oldest)
			freed, err = freed+size, errors.Join(err, failure)
		}
		if info, failure := source.Info(); failure == nil && info.ModTime().Before(oldest) {
			_ = os.Remove(dir) // usually there is something in it
		}
	}
	return freed, err
}

// longestBuild is how long the folder of a build may be in use: writing to the files in it
// does not change the time of the folder, so that a build which goes on looks old. After
// this time its host must have been killed.
const longestBuild = time.Hour

// trim removes one program, or what a build has left, if it was last used before oldest. A
// file was last used at its modification time, which each build that needs it sets. One
// that is gone was removed by another program at the same time, which is not a failure.
func trim(path string, oldest time.Time) (freed int64, err error) {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		oldest = oldest.Add(-longestBuild)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().After(oldest) {
		return 0, nil
	}
	if err == nil {
		err = os.RemoveAll(path)
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// folderName is the name of a source folder's folder: a sum of its path, as a path may be
// longer than a name can be. Eight bytes are enough against chance; nobody else can write
// here.
func folderName(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:8])
}

// programName keeps programs of equal last elements apart, and begins with that element,
// which is what a reader of the folder sees. That of "." is the name of the folder itself.
func programName(dir, pkg string) string {
	sum := sha256.Sum256([]byte(pkg))
	return filepath.Base(filepath.Join(dir, pkg)) + "-" + hex.EncodeToString(sum[:4])
}
