package trellis_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/task"
	"github.com/seed-2ba35074/trellis/plugins/census/tally"
)

// What do the processes cost? The census of the standard library by a tree of
// plugins, start and end of all processes included, beside the same count in one
// process.
func BenchmarkCensus(b *testing.B) {
	root := filepath.Join(goroot(b), "src")
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("plugins=%d", workers), func(b *testing.B) {
			replicas := fmt.Sprintf("actors.census.actors.parser.replicas=%d", workers)
			for b.Loop() {
				census(b, "--set", replicas, "root="+root)
			}
		})
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			for b.Loop() {
				if r := countHere(b, root, workers); r.Files == 0 {
					b.Fatal("no files")
				}
			}
		})
	}
}

// countHere is the census as a plain program would do it.
func countHere(b *testing.B, root string, workers int) tally.Report {
	b.Helper()
	paths, files := make(chan tally.Path), make(chan tally.File)
	var parsers task.Group
	for range workers {
		parsers.Go(func() {
			for path := range paths {
				files <- tally.Parse(path)
			}
		})
	}
	walker := task.Start(func() {
		defer close(paths)
		for found, err := range tally.Walk(b.Context(), root) {
			if err != nil {
				b.Error(err)
				return
			}
			paths <- found.Path
		}
	})
	closer := task.Start(func() {
		parsers.Close()
		close(files)
	})
	var sum tally.Tally
	for f := range files {
		sum.Add(f)
	}
	walker.Wait()
	closer.Wait()
	return sum.Report()
}
