package main

import (
	"os"
	"path/filepath"
	"testing"

	census "github.com/seed-2ba35074/trellis/plugins/census/contract"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
	"github.com/seed-2ba35074/trellis/trellistest"
)

func TestWalk(t *testing.T) {
	walker := trellistest.Serve(t, census.Walk.Handle(walk))
	dir := t.TempDir()
	for _, name := range []string{"a.go", "b.go", "c.go", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package p\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for found, err := range census.Walk.Stream(t.Context(), walker, census.Root{Root: dir}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(string(found.Path)))
	}
	if len(names) != 3 {
		t.Errorf("%v", names)
	}
	for range census.Walk.Stream(t.Context(), walker, census.Root{Root: dir}) {
		break // whoever wants no more ends the walk, or it would be left when the test ends
	}
}

func TestWalkOfAFolderThatIsNotThere(t *testing.T) {
	walker := trellistest.Serve(t, census.Walk.Handle(walk))
	var found []tally.Found
	for f, err := range census.Walk.Stream(t.Context(), walker, census.Root{Root: filepath.Join(t.TempDir(), "none")}) {
		if err != nil {
			return
		}
		found = append(found, f)
	}
	t.Errorf("there was no error, but %v", found)
}
