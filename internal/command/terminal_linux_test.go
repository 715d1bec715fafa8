package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens a pseudo-terminal: what is written to its far end comes out
// of the near one, as a person would see it.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { _ = near.Close() }) // may be closed already
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() }) // may be closed already
	return near, far
}

// onTerminal runs the command with its standard error on a terminal and returns
// what came out there, and on standard output.
func onTerminal(t *testing.T, term string, args ...string) (screen, stdout string) {
	t.Helper()
	near, far := openTerminal(t)
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "host", args...)
	cmd.Env = append(os.Environ(), "TERM="+term)
	cmd.Stdout, cmd.Stderr = &out, far
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	seen, _ := io.ReadAll(near) // EIO is the end of a terminal
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, seen)
	}
	return string(seen), out.String()
}

func countingConfig(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf("run: {actor: a, endpoint: count, args: {n: 3}}\nactors: [{name: a, command: [%q], env: {%s: plugin, GORACE: %s}}]\n", self, roleVar, atOnce)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// redrawn is a run's progress: each time what stands there is erased, line for line.
var redrawn = regexp.MustCompile(`^` +
	`\x1b\[\?7lstarting 1 process\x1b\[\?7h\r\n` +
	`\r\x1b\[1A\x1b\[J\x1b\[\?7ldone so far 0\r\n  n 0\x1b\[\?7h\r\n` +
	`(\r\x1b\[2A\x1b\[J\x1b\[\?7ldone so far \d\r\n  n \d\x1b\[\?7h\r\n)*` +
	`\r\x1b\[2A\x1b\[J$`)

func TestProgressIsRedrawnOnATerminal(t *testing.T) {
	screen, stdout := onTerminal(t, "xterm", "run", "-c", countingConfig(t))
	if stdout != "N  3\n" {
		t.Errorf("the result is %q", stdout)
	}
	if !redrawn.MatchString(screen) {
		t.Errorf("the terminal got %q", screen)
	}
	if left := rendered(screen); len(left) > 0 {
		t.Errorf("this is left on the screen: %q", left)
	}
}

// logLine is the beginning of a record, for people.
var logLine = regexp.MustCompile(`\x1b\[2m\d\d:\d\d:\d\d\.\d\d\d \x1b\[0m\x1b\[\d+m[A-Z]+ +\x1b\[0m\x1b\[36m`)

func TestLogsStayOnATerminal(t *testing.T) {
	screen, _ := onTerminal(t, "xterm", "run", "-c", countingConfig(t), "--log-level", "debug")
	left := rendered(screen)
	for _, line := range left {
		if at := logLine.FindStringIndex(line); at == nil || at[0] != 0 {
			t.Errorf("this is left on the screen: %q", line)
		}
	}
	if logged := len(logLine.FindAllString(screen, -1)); logged == 0 || len(left) != logged {
		t.Errorf("%d lines were logged, %d are left", logged, len(left))
	}
}

func TestADumbTerminalGetsLines(t *testing.T) {
	screen, _ := onTerminal(t, "dumb", "run", "-c", countingConfig(t))
	if strings.Contains(screen, "\x1b") || !strings.HasPrefix(screen, "starting 1 process\r\ndone so far 0\r\n") {
		t.Errorf("the terminal got %q", screen)
	}
}

// rendered are the lines that stand on a high screen in the end.
func rendered(screen string) (lines []string) {
	up := regexp.MustCompile(`^\r\x1b\[(\d+)A\x1b\[J`)
	screen = strings.NewReplacer("\x1b[?7l", "", "\x1b[?7h", "").Replace(screen)
	for screen != "" {
		if m := up.FindStringSubmatch(screen); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			lines, screen = lines[:max(0, len(lines)-n)], screen[len(m[0]):]
			continue
		}
		line, rest, _ := strings.Cut(screen, "\r\n")
		lines, screen = append(lines, line), rest
	}
	return lines
}

// startOn starts a program whose terminal is the far end, which this one gives away.
func startOn(t *testing.T, cmd *exec.Cmd, far *os.File) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
}

// U5: Ctrl-C is answered, the step that is over is not shown any more, and neither it
// nor the terminal's echo is left on the screen.
func TestCtrlCIsAnsweredOnATerminal(t *testing.T) {
	near, far := openTerminal(t)
	cmd := exec.CommandContext(t.Context(), "host", "run", "-c", countingConfig(t), "--set", "run=null", "--log-level", "warn")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stderr = far, far
	startOn(t, cmd, far)
	screen := readUntil(t, near, "serving; Ctrl-C ends it")
	if _, err := near.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(near) // EIO is the end of a terminal
	screen += string(rest)
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != 130 {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	answered := strings.Index(screen, "Ctrl-C: ending the tree in order; a second one ends it at once")
	if answered < 0 || strings.Contains(screen[answered:], "serving") || !strings.Contains(screen, "^C") {
		t.Errorf("the terminal got %q", screen)
	}
	if left := rendered(strings.ReplaceAll(screen, "^C", "")); len(left) > 0 {
		t.Errorf("this is left on the screen: %q", left)
	}
}

// readUntil reads a terminal until a text has come.
func readUntil(t *testing.T, near *os.File, text string) (seen string) {
	t.Helper()
	buf := make([]byte, 4<<10)
	for !strings.Contains(seen, text) {
		n, err := near.Read(buf)
		if seen += string(buf[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
	return seen
}

// D04: at a terminal a context by hand forgives a line that is not JSON, and Ctrl-C ends it and its callee.
func TestD04_AContextByHandAtATerminal(t *testing.T) {
	address := "typing"
	defer serving(t, address)()
	near, far := openTerminal(t)
	cmd := exec.CommandContext(t.Context(), "host", "open", "a", "tally", "--at", address)
	cmd.Env = append(os.Environ(), "TERM=dumb")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	startOn(t, cmd, far)
	readUntil(t, near, "started: text ready")
	for _, typed := range []struct{ line, answer string }{
		{"{\"n\": 40}\n", "\r\n{\"n\":40}\r\n"}, {"forty\n", `got "forty"`}, {"{\"n\": 2}\n", "\r\n{\"n\":42}\r\n"},
	} {
		if _, err := near.WriteString(typed.line); err != nil {
			t.Fatal(err)
		}
		readUntil(t, near, typed.answer)
	}
	if _, err := near.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(near) // EIO is the end of a terminal
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); !ok || exit.ExitCode() != 130 {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	out, err := exec.CommandContext(t.Context(), "host", "call", "a", "producing", "--at", address).CombinedOutput()
	if err != nil || string(out) != "0\n" {
		t.Errorf("D04: the callee goes on: %s, %v", out, err)
	}
}

// serving starts a host at an address, whose actor is ready; end has it end in order.
func serving(t *testing.T, address string) (end func()) {
	t.Helper()
	server := exec.CommandContext(t.Context(), "host", "serve", "-c", countingConfig(t), "--set", "actors.a.callers=[joined]", "--at", address)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "host", "wait", "a", "--at", address).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return func() {
		_ = server.Process.Signal(os.Interrupt) // Wait says if it has ended
		if exit, ok := errors.AsType[*exec.ExitError](server.Wait()); !ok || exit.ExitCode() != 130 {
			t.Errorf("the host ended with %v", server.ProcessState)
		}
	}
}

// O02, O05: the screen shows a host that serves, asks before it gives an order, says when the host has ended, stays until a key
// is pressed, and leaves the terminal as it was. It has no colours where nobody wants any.
func TestO02_TheScreenOfTop(t *testing.T) {
	end := serving(t, "looking")
	near, far := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(near.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "host", "top", "--at", "looking")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=yes") //nolint:misspell // the name of the variable
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, far
	startOn(t, cmd, far)
	screen := readUntil(t, near, "\x1b[?1049h")
	screen += redrawnUntil(t, near, "ready")
	for _, step := range []struct{ keys, text string }{{"jx", "(y/N)"}, {"n", "not done"}, {"c", "with its host"}, {"\x1b[A", "contexts"}} {
		if _, err := near.WriteString(step.keys); err != nil {
			t.Fatal(err)
		}
		screen += redrawnUntil(t, near, step.text)
	}
	end()
	screen += redrawnUntil(t, near, "leaves")
	if _, err := near.WriteString("l"); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(near) // EIO is the end of a terminal
	if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "\x1b[?1049l") {
		t.Errorf("O02: it ended with %v, and %q", err, rest)
	}
	if colour := regexp.MustCompile("\x1b\\[[0-9;]*[34][0-7]m").FindString(screen); colour != "" {
		t.Errorf("O02: the terminal got, which wants no colours, %q", colour)
	}
}

// redrawnUntil has a screen drawn anew, as Ctrl-L does, until there is a text on it.
func redrawnUntil(t *testing.T, near *os.File, text string) (seen string) {
	t.Helper()
	buf := make([]byte, 16<<10)
	for !strings.Contains(seen, text) {
		if _, err := near.WriteString("\f"); err != nil {
			t.Fatal(err)
		}
		n, err := near.Read(buf)
		if seen += string(buf[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
	return seen
}
