package trellis_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/bench"
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
				if r, err := bench.CountHere(b.Context(), root, workers); err != nil || r.Files == 0 {
					b.Fatalf("%d files: %v", r.Files, err)
				}
			}
		})
	}
}
