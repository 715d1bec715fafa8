// Package tempdir gives tests a directory for temporary files whose path leaves room for the
// names of sockets below it: a socket's address has about a hundred bytes, of which the
// directories of package testing take most.
package tempdir

import (
	"os"
	"testing"
)

// Use makes a directory the TMPDIR of a test, and of the programs that it starts. It is
// removed when the test has ended.
func Use(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "t") //nolint:usetesting // that is what this is about
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", dir)
	return dir
}
