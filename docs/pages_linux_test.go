package docs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2ba35074/trellis/internal/lab/page"
)

// played are the pages whose blocks of the language console are typed, as they stand there, and print what
// they show. The first one begins in an empty folder, and the others where it ended.
var played = []string{"tutorial.md", "operating.md"}

// standIns are commands that a test cannot run, or that it may be too fast for, and what it does instead.
var standIns = map[string]string{
	"host logs greeter": "until host logs greeter | grep -q nobody; do sleep 0.1; done; host logs greeter", // what is printed may be read a moment later
	"git clone https://github.com/seed-2ba35074/trellis": `ln -s "$TRELLIS" trellis`,
}

// What a page tells its reader to type prints what the page shows.
func TestPagesArePlayed(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "docs-") // short: names of sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	at, tmp := filepath.Join(dir, "work"), filepath.Join(dir, "tmp")
	if err := errors.Join(os.Mkdir(at, 0o700), os.Mkdir(tmp, 0o700)); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(at, "trellis-tutorial", "bin") // where the tutorial puts the command
	env := append(os.Environ(), "TRELLIS="+root, "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+tmp, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOFLAGS="+strings.TrimSpace(goEnv(t, "GOFLAGS")+" -ldflags=-w")) // which links quicker
	for _, name := range played {
		if at = play(t, name, at, env); t.Failed() {
			return
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// play types the commands of a page in one shell, and gives the folder in which that ended.
func play(t *testing.T, name, at string, env []string) (ended string) {
	t.Helper()
	blocks, err := page.Blocks(name)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{dir: t.TempDir()}
	if err := s.write(blocks); err != nil {
		t.Fatal(err)
	}
	if len(s.commands) == 0 {
		t.Fatalf("%s has no commands", name)
	}
	deadline, limited := t.Deadline()
	if !limited {
		deadline = time.Now().Add(10 * time.Minute)
	}
	ctx, cancel := context.WithDeadline(t.Context(), deadline.Add(-10*time.Second))
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "-c", s.script.String())
	bash.Dir, bash.Env = at, slices.Concat(env, []string{"PWD=" + at})
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bash.Cancel = func() error { return syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) }
	out, failed := bash.CombinedOutput()
	before := ""
	for i, c := range s.commands {
		printed, err := os.ReadFile(s.file(i))
		if errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s:%d: not reached: %sThe command before it printed:\n%s", name, c.Line, c.Text, before)
		}
		code, none := os.ReadFile(s.file(i) + ".code")
		if err != nil || none != nil {
			t.Fatalf("%s:%d: it has not ended: %s%v: %s%s", name, c.Line, c.Text, ctx.Err(), printed, out)
		}
		printed = slowBuild.ReplaceAll(printed, nil)
		if !c.Matches(string(printed)) {
			t.Errorf("%s:%d: %sprints (exit code %s)\n%sand not\n%s", name, c.Line, c.Text, strings.TrimSpace(string(code)), printed, c.Prints)
		}
		before = string(printed)
	}
	if failed != nil || len(out) > 0 {
		t.Errorf("%s: %v: %s", name, failed, out)
	}
	end, err := os.ReadFile(filepath.Join(s.dir, "end"))
	if err != nil {
		t.Errorf("%s has not come to its end", name)
	}
	return strings.TrimSpace(string(end))
}

// slowBuild is what a build prints that takes more than 10 s.
var slowBuild = regexp.MustCompile(`(?m)^building \S+ \(\d+ of \d+\), .*\n`)

// session is a shell in which the commands of a page are typed.
type session struct {
	dir      string // for what they print, their exit codes, and files that the page shows
	script   strings.Builder
	commands []page.Command
}

func (s *session) file(i int) string { return filepath.Join(s.dir, strconv.Itoa(i)) }

// write writes the script. A command may fail only if the next one prints its exit code.
func (s *session) write(blocks []page.Block) error {
	// A folder that is behind a symbolic link is named as it is, so that the go command finds what it has compiled.
	s.script.WriteString("set -P\ntrap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n")
	for i, b := range blocks {
		if b.File != "" {
			name := filepath.Join(s.dir, fmt.Sprint("block", i))
			if err := os.WriteFile(name, []byte(b.Text), 0o600); err != nil {
				return err
			}
			fmt.Fprintf(&s.script, "mkdir -p \"$(dirname '%s')\"\ncp '%s' '%[1]s'\n", b.File, name)
		}
		if b.Language == "console" {
			for _, c := range b.Commands() {
				s.add(c)
			}
		}
	}
	fmt.Fprintf(&s.script, "pwd > '%s'\n", filepath.Join(s.dir, "end"))
	return nil
}

func (s *session) add(c page.Command) {
	i := len(s.commands)
	s.commands = append(s.commands, c)
	asks := strings.HasPrefix(c.Text, "echo $?")
	if i > 0 && !asks {
		s.script.WriteString("[ $code = 0 ] || exit 1\n")
	}
	text := strings.TrimSuffix(c.Text, "\n")
	if other, is := standIns[text]; is {
		text = other
	}
	if asks {
		s.script.WriteString("(exit $code)\n")
	}
	fmt.Fprintf(&s.script, "{ %s\n} > '%s' 2>&1 < /dev/null\ncode=$?\necho $code > '%[2]s.code'\n", text, s.file(i))
}
