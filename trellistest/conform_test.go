package trellistest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/lab/together"
	"github.com/seed-2ba35074/trellis/plugins/conform/program"
	"github.com/seed-2ba35074/trellis/trellistest"
)

// The Go SDK does what the transcripts say, in a process of its own.
func TestConformance(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trellistest.Conformance(t, "env", roleVar+"=conform", "GORACE=atexit_sleep_ms=0", self)
}

// roleVar makes the test binary a plugin.
const roleVar = "TRELLISTEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "conform":
		program.Serve()
	case "bad":
		serveBadly()
	}
	if err := os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-w")); err != nil { // linking is most of what building costs
		panic(err)
	}
	together.Tests()
	os.Exit(m.Run())
}
