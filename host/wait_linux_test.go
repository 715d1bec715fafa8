package host_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
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
