package host_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
)

// waitForChild returns when this process has a child: the fork has happened. The
// system offers no event for that, so it looks again and again.
func waitForChild(t testing.TB) {
	t.Helper()
	for t.Context().Err() == nil {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Error(err)
			return
		}
		for _, task := range tasks {
			if kids, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children"); err == nil && strings.TrimSpace(string(kids)) != "" {
				return
			}
		}
		runtime.Gosched()
	}
}

// waitForDialog returns when a call into the actor is under way.
func waitForDialog(t testing.TB, p *host.Portal) {
	t.Helper()
	table, err := p.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for t.Context().Err() == nil && table.Len() == 0 {
		runtime.Gosched()
	}
}
