package host_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/shared/actor"
)

// titleOf is what ps shows for an actor.
func titleOf(t testing.TB, id actor.ID) string {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
	if err != nil {
		t.Fatal(err)
	}
	title, _, _ := strings.Cut(string(line), "\x00")
	return title
}
