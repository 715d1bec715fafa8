package bench

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Serve() // if the test binary was started to be measured
	// The forker keeps its thread for as long as the program runs.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/seed-2ba35074/trellis/internal/process.forkLoop"))
}
