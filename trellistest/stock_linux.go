package trellistest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// stock is what there was before a program was started.
type stock struct {
	mark        string            // in the environment of the program, and of all that it starts
	descriptors map[string]string // of this process, with what they are; nil: they are not counted
	dying       time.Duration     // how long what was told to end may take to be gone
}

// markVar holds a stock's mark.
const markVar = "TRELLISTEST_EXEC"

// takeStock notes what is there, and marks the program's environment.
func takeStock(t testing.TB, env map[string]string, dying time.Duration) stock {
	s := stock{mark: uuid.NewString(), dying: dying}
	env[markVar] = s.mark
	if alone(t) {
		s.descriptors = descriptors()
	}
	return s
}

// alone reports whether no other test runs at the same time, which package testing tells only
// in this way: it refuses a test that does to change the environment.
func alone(t testing.TB) (yes bool) {
	defer func() { _ = recover() }() // it says no
	t.Setenv("TRELLISTEST_ALONE", "1")
	return true
}

// left is what is still there and was not before. What was killed a moment ago may need
// another one, so that it looks again until there is nothing, or for some time.
func (s stock) left() (found []string) {
	for deadline := time.Now().Add(s.dying); ; <-time.After(10 * time.Millisecond) {
		found = s.newDescriptors()
		strays := s.strays()
		for _, pid := range strays {
			found = append(found, "a process: "+describe(pid))
		}
		if len(found) == 0 || time.Now().After(deadline) {
			for _, pid := range strays {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it is gone by now, or it is told
			}
			return found
		}
	}
}

// strays are the processes that bear the mark and still run.
func (s stock) strays() (pids []int) {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	mark := []byte(markVar + "=" + s.mark)
	for _, entry := range entries {
		env, err := os.ReadFile(filepath.Join(entry, "environ")) //nolint:gosec // of /proc
		if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(e []byte) bool { return bytes.Equal(e, mark) }) {
			continue // it is somebody else's, has ended, or is a zombie, whose environment is empty
		}
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func describe(pid int) string {
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended since
	return fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " ")))
}

// newDescriptors are those of sockets, pipes and processes: others come and go with the
// runtime, and with the test's own files.
func (s stock) newDescriptors() (found []string) {
	if s.descriptors == nil {
		return nil
	}
	for fd, what := range descriptors() {
		if s.descriptors[fd] != what {
			found = append(found, fmt.Sprintf("descriptor %s of the test's process: %s", fd, what))
		}
	}
	slices.Sort(found)
	return found
}

func descriptors() map[string]string {
	all := map[string]string{}
	entries, _ := os.ReadDir("/proc/self/fd") // it is there on every Linux
	for _, entry := range entries {
		what, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		for _, kind := range []string{"socket:", "pipe:", "anon_inode:[pidfd]"} {
			if strings.HasPrefix(what, kind) {
				all[entry.Name()] = what
			}
		}
	}
	return all
}
