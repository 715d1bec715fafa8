package trellistest_test

import (
	"testing"

	"github.com/seed-2ba35074/trellis/trellistest"
)

// A program that is written with an SDK in another language is tested with the transcripts of the protocol. This
// example is not run: it needs such a program.
func ExampleConformance() {
	_ = func(t *testing.T, program string) {
		trellistest.Conformance(t, "python3", program)
	}
}
