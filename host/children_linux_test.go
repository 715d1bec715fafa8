package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// childrenLeft are the pids of this process's children, zombies too, but those of other tests if this one runs beside them. A
// child is its thread's that has forked it.
func childrenLeft(t testing.TB) (pids []string) {
	t.Helper()
	all, err := children()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := beside.Load(testOf(t)); ok {
		mine := "\x00" + ofVar + "=" + testOf(t) + "\x00"
		all = slices.DeleteFunc(all, func(pid string) bool {
			environ, _ := os.ReadFile("/proc/" + pid + "/environ") // it may have ended; a zombie has none, and TestMain finds it
			return !strings.Contains("\x00"+string(environ), mine)
		})
	}
	return all
}

func children() (pids []string, err error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		return nil, fmt.Errorf("no threads, %w", err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) { // the thread has ended
			return nil, err
		}
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids, nil
}
