package trellis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/lab/foreground"
)

// programs are the programs under test: the command, as "host", and those of config.yaml, by
// their actors. They are built once, when a test asks for one.
var programs = sync.OnceValues(buildPrograms)

// program is the path of one of them.
func program(t testing.TB, name string) string {
	t.Helper()
	paths, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return paths[name]
}

func TestMain(m *testing.M) {
	if os.Getenv(raisesCauses) != "" {
		raisesPlugin()
		return
	}
	foreground.Signals()
	dir, err := os.MkdirTemp("", "t-") // short: names of sockets are in it
	if err == nil {
		err = liveIn(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// liveIn has this process and all that it starts leave nothing outside a folder, but
// compile into the usual cache.
func liveIn(dir string) error {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	return errors.Join(
		os.Setenv("GOCACHE", strings.TrimSpace(string(out))), os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")), os.Setenv("TMPDIR", dir),
		os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-w")), // linking is most of what building costs
	)
}

func buildPrograms() (map[string]string, error) {
	paths := map[string]string{"host": filepath.Join(os.TempDir(), "host")}
	if err := goBuild(".", paths["host"], "./cmd/host"); err != nil {
		return nil, err
	}
	tree, err := read.Load("config.yaml", read.Options{Lookup: func(string) (string, bool) { return "", true }})
	if err != nil {
		return nil, err
	}
	actors, err := host.Build(context.Background(), ".", tree.Actors, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range append(actors, actors[0].Actors...) {
		paths[a.Name] = a.Command[0]
	}
	return paths, nil
}

func goBuild(dir, program, pkg string) error {
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// runCensus is the command line that runs the tree of config.yaml with the programs as
// they were built, so that the go command does not look at them again.
func runCensus(t testing.TB, args ...string) []string {
	t.Helper()
	run := []string{"run"}
	for name, path := range map[string]string{"census": "actors.census", "walker": "actors.census.actors.walker", "parser": "actors.census.actors.parser"} {
		run = append(run, "--set", path+".package=null", "--set", fmt.Sprintf("%s.command=[%q]", path, program(t, name)))
	}
	return append(run, args...)
}

// runHost runs the command to its end.
func runHost(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "host"), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// report is what the test reads of a census.
type report struct {
	Files     int   `json:"files"`
	Failed    int   `json:"failed"`
	Lines     int   `json:"lines"`
	Bytes     int64 `json:"bytes"`
	Packages  int   `json:"packages"`
	Functions int   `json:"functions"`
	Methods   int   `json:"methods"`
	Exported  int   `json:"exported"`

	Longest struct {
		Name  string `json:"name"`
		Lines int    `json:"lines"`
	} `json:"longest_function"`
	Failures []struct {
		Path    string `json:"path"`
		Problem string `json:"problem"`
	} `json:"failures"`
}

func census(t testing.TB, args ...string) report {
	t.Helper()
	return reportOf(t, append(runCensus(t, "-o", "json"), args...))
}

// reportOf runs a census to its end.
func reportOf(t testing.TB, args []string) report {
	t.Helper()
	stdout, stderr, code := runHost(t, args...)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	return r
}

func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// The tree of config.yaml as it stands there, built by the command itself.
func TestCensusOfASourceTree(t *testing.T) {
	t.Parallel()
	root := filepath.Join(goroot(t), "src", "go") // it has files that do not parse
	got := reportOf(t, []string{"run", "-o", "json", "root=" + root})
	got.Failures = nil
	_, method, isMethod := strings.Cut(got.Longest.Name, ").")
	if isMethod {
		got.Longest.Name = method
	}
	want := countByHand(t, root)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the tree of plugins counts\n%+v, one process counts\n%+v", got, want)
	}
	if got.Files < 300 || got.Failed == 0 {
		t.Errorf("only %d files, %d of which do not parse: this is not a part of the standard library", got.Files, got.Failed)
	}
}

func TestCensusOfAStrangeTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.go", "package a\n\nfunc F() {\n}\n")
	write("broken.go", "package a\n\nfunc {\n")
	write("two\nlines.go", "package a\nfunc g() {}\n")
	write("not-\xff-utf8.go", "package a\nvar X int")
	write("text.txt", "no Go\n")
	huge, err := os.Create(filepath.Join(dir, "huge.go"))
	if err == nil {
		_, err = huge.WriteString("package a\n")
	}
	if err == nil {
		err = huge.Truncate(100 << 20)
	}
	if err = errors.Join(err, huge.Close()); err != nil {
		t.Fatal(err)
	}
	got := census(t, "root="+dir)
	if got.Files != 5 || got.Failed != 2 || got.Functions != 2 || got.Exported != 2 || got.Lines != 4+3+2+2+2 {
		t.Errorf("got %+v", got)
	}
	if len(got.Failures) != 2 || !strings.Contains(got.Failures[1].Problem, "larger than") {
		t.Errorf("failures: %+v", got.Failures)
	}
}

func TestCensusOfNothing(t *testing.T) {
	t.Parallel()
	if got := census(t, "root="+t.TempDir()); got.Files != 0 {
		t.Errorf("got %+v", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{"/does/not/exist": "no such file", file: "not a folder", "": "no source folder given"} {
		stdout, stderr, code := runHost(t, runCensus(t, "root="+root)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, want) || !strings.Contains(stderr, "arose in walker@") {
			t.Errorf("root=%s: exit code %d, %q, %s", root, code, stdout, stderr)
		}
	}
}

func TestThirdPartyPluginAndApplication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	theirs := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./...")
	theirs.Dir = "testdata/thirdparty"
	if out, err := theirs.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok  \texample.com/thirdparty/greeter") {
		t.Errorf("its own tests: %v\n%s", err, out)
	}
	if err := goBuild("testdata/thirdparty", dir+string(filepath.Separator), "./..."); err != nil {
		t.Fatal(err)
	}
	for pair, want := range map[string]string{
		"kv":   "hello\nthere is no farewell\n",
		"bare": "hello\nrpc error: code = Unknown desc = nothing is kept under farewell\n",
	} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, pair+"app"), filepath.Join(dir, pair+"plugin")).Output() // go-plugin logs to standard error
		if err != nil || string(out) != want {
			t.Errorf("docs/from-go-plugin.md: %sapp: %v: %s", pair, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "app"), filepath.Join(dir, "greeter")).Output() // its log may warn of a busy machine
	if err != nil || string(out) != "Hello, world!\nno greeting for nuts\n3\n2\n1\n0\nwelcome, Ann\nhello, Bob\nhello, Cid\ngreeted: 2\n" {
		t.Errorf("%v: %s", err, out)
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("name: greet\nrun: {actor: greeter, endpoint: greet}\nactors:\n  - {name: greeter, command: [%s]}\n", filepath.Join(dir, "greeter"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := runHost(t, "run", "-c", config)
	if code != 1 || !strings.Contains(stderr, `endpoint "greet": arguments do not fit: want string`) {
		t.Errorf("P08: exit code %d: %s", code, stderr)
	}
}

func TestPluginRunByHandSaysWhatItIs(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), program(t, "walker")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "This binary is a plugin") {
		t.Errorf("%v: %s", err, out)
	}
}
