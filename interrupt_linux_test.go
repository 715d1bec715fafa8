package trellis_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestF02_InterruptEndsEverythingCleanly(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		signal os.Signal
		code   int
	}{"interrupt": {os.Interrupt, 130}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The whole of GOROOT, so that there is a middle to interrupt.
			cmd := exec.CommandContext(t.Context(), program(t, "host"), runCensus(t, "root="+goroot(t))...)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			for lines.Scan() && !strings.Contains(lines.Text(), "files seen") {
			}
			actors := descendants(t, cmd.Process.Pid)
			if err := cmd.Process.Signal(end.signal); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
				t.Log(lines.Text())
			}
			_ = cmd.Wait() // its exit code is asked for below
			if code := cmd.ProcessState.ExitCode(); code != end.code {
				t.Errorf("exit code %d, want %d", code, end.code)
			}
			if len(actors) < 4 {
				t.Errorf("only %d actors were running", len(actors))
			}
			for _, pid := range actors {
				if alive(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
		})
	}
}

// TestV02_LostParsersComeBack: the census is right although its parsers are killed
// in the middle of it.
func TestV02_LostParsersComeBack(t *testing.T) {
	t.Parallel()
	root := filepath.Join(goroot(t), "src", "cmd") // it takes some seconds on any machine
	cmd := exec.CommandContext(t.Context(), program(t, "host"), runCensus(t, "-o", "json", "root="+root)...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := 0
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		t.Log(lines.Text())
		if killed > 0 || !strings.Contains(lines.Text(), "files seen") && !strings.Contains(lines.Text(), "seen=") {
			continue
		}
		for _, pid := range descendants(t, cmd.Process.Pid) {
			title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if strings.HasPrefix(string(title), "trellis[parser@") && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed++
			}
		}
	}
	if err := cmd.Wait(); err != nil || killed != 2 {
		t.Fatalf("%v; %d parsers were killed", err, killed)
	}
	var got report
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	got.Failures = nil
	if _, method, isMethod := strings.Cut(got.Longest.Name, ")."); isMethod {
		got.Longest.Name = method
	}
	if want := countByHand(t, root); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("with parsers killed it counts\n%+v, one process counts\n%+v", got, want)
	}
}

// descendants are the processes below one, as /proc has them.
func descendants(t testing.TB, pid int) []int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil // it is gone
	}
	var all []int
	for _, task := range tasks {
		kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(kids)) {
			kid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(all, kid), descendants(t, kid)...)
		}
	}
	return all
}

// alive reports whether a process is there and is more than a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
