//go:build !linux

package host_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// childrenLeft are the lines of ps about this process's children.
func childrenLeft(t testing.TB) (lines []string) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,stat=,args=", "--ppid", strconv.Itoa(os.Getpid())).Output()
	if err != nil && len(out) == 0 {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, " ps ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
