//go:build !linux

package host_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// childrenLeft are the lines of ps about this process's children, but if the test runs beside others: whose they are is not known.
func childrenLeft(t testing.TB) (lines []string) {
	t.Helper()
	if _, ok := beside.Load(testOf(t)); ok {
		return nil
	}
	lines, _ = children() // there are none, or ps would list them
	return lines
}

func children() (lines []string, err error) {
	out, err := exec.Command("ps", "-o", "pid=,stat=,args=", "--ppid", strconv.Itoa(os.Getpid())).Output()
	if err != nil && len(out) == 0 {
		return nil, nil //nolint:nilerr // it has found none
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, " ps ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, nil
}
