package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/host/config"
)

// V01: a program of the cache is another one if another file is in its place, and not if a build has
// marked it as used; of any other program, a time that has changed is enough.
func TestV01_AProgramIsAnotherOneByItsFile(t *testing.T) {
	for name, built := range map[string]bool{"of the cache": true, "of the user": false} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "program")
			write := func(path string) error { return os.WriteFile(path, []byte("same"), 0o700) }
			if err := write(path); err != nil {
				t.Fatal(err)
			}
			s := &spawned{spec: Spec{Command: []string{path}}}
			if built {
				s.spec.Built = &config.Built{Program: path}
			}
			var err error
			if s.file, err = os.Stat(path); err != nil {
				t.Fatal(err)
			}
			if err := s.Current(); err != nil {
				t.Errorf("as it was: %v", err)
			}
			later := time.Now().Add(time.Minute)
			if err := os.Chtimes(path, later, later); err != nil {
				t.Fatal(err)
			}
			if err := s.Current(); (err == nil) != built {
				t.Errorf("touched: %v", err)
			}
			fresh := path + ".fresh"
			if err := errors.Join(write(fresh), os.Chtimes(fresh, s.file.ModTime(), s.file.ModTime()), os.Rename(fresh, path)); err != nil {
				t.Fatal(err)
			}
			if err := s.Current(); err == nil {
				t.Error("replaced, and it is the same")
			}
		})
	}
}
