package trellistest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/trellistest"
)

// A descriptor that the test has opened while the program ran, and a process that bears the
// program's mark, are found; and nothing else, if what the program had was given the time to go.
func TestExecFindsDescriptorsAndProcesses(t *testing.T) {
	var problems []string
	for dying := 100 * time.Millisecond; len(problems) != 4 && dying < time.Minute; dying *= 2 { // a pipe has two ends, and a process a descriptor
		problems = withStrays(t, dying)
	}
	all := strings.Join(problems, "\n")
	for _, words := range []string{"bad has left descriptor", "pipe:[", "bad has left a process", "(sleep 1000)"} {
		if !strings.Contains(all, words) {
			t.Errorf("there is no %q in:\n%s", words, all)
		}
	}
	if len(problems) != 4 {
		t.Errorf("%d problems:\n%s", len(problems), all)
	}
}

// withStrays is what is reported of a program, while which a pipe was opened and a process started.
func withStrays(t *testing.T, dying time.Duration) []string {
	t.Helper()
	p := bad(t)
	trellistest.Dying(dying)(&p)
	var r, w *os.File
	var stray *exec.Cmd
	problems := recordIn(t, func(t testing.TB) {
		mark, err := markOf.Call(t.Context(), p.Exec(t), none{})
		if err != nil {
			t.Fatalf("%v", err)
		}
		stray = exec.Command("sleep", "1000")
		stray.Env = []string{"TRELLISTEST_EXEC=" + mark}
		if err := stray.Start(); err != nil {
			t.Fatalf("%v", err)
		}
		if r, w, err = os.Pipe(); err != nil {
			t.Fatalf("%v", err)
		}
	})
	if err := stray.Wait(); err == nil {
		t.Error("the process was not ended")
	}
	_, _ = r.Close(), w.Close()
	return problems
}
