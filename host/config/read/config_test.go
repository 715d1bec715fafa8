package read_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// one is a file with one actor, whose further keys are given.
func one(keys string) string {
	return "actors:\n  - name: a\n    command: [x]\n" + keys
}

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"N": "4", "ROOT": "/src", "EMPTY": "", "TEXT": "yes", "COMMENT": "5 # x", "LATIN": "\xe4"}[name]
	return value, ok
}

func parse(text string, o read.Options) (*config.Tree, error) {
	o.Lookup = lookup
	return read.Parse("f.yaml", []byte(text), o)
}

func TestEveryKeyIsRead(t *testing.T) {
	got, err := parse(`
name: all
run: {actor: a, endpoint: e, args: {n: 1, f: 1.5, b: true, none: ~, list: [x, [y]], map: {1: {k: v}}, day: 2001-02-03, root: "${ROOT}/sub"}}
actors:
  - name: a
    package: ./p
    dir: /tmp
    env: {K: "$$5", E: "${EMPTY:-default}"}
    replicas: ${N}
    sha256: `+strings.Repeat("ab", 32)+`
    start_timeout: 10s
    cancel_timeout: 100ms
    grace: 1m30s
    restart: temporary
    depends_on: {b: started}
    actors:
      - {name: c, command: [./c, -x]}
  - {name: b, command: ["${ROOT}/b"]}
`, read.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Tree{
		Name: "all",
		Run: &config.Run{Actor: "a", Endpoint: "e", Args: map[string]any{
			"n": json.Number("1"), "f": json.Number("1.5"), "b": true, "none": nil, "list": []any{"x", []any{"y"}}, "map": map[string]any{"1": map[string]any{"k": "v"}},
			"day": "2001-02-03", "root": "/src/sub",
		}},
		Actors: []config.Actor{{
			Name: "a", Package: "./p", Dir: "/tmp", Env: map[string]string{"K": "$5", "E": "default"}, Replicas: 4,
			SHA256: strings.Repeat("ab", 32), StartTimeout: config.Duration(10 * time.Second),
			CancelTimeout: config.Duration(100 * time.Millisecond), Grace: config.Duration(90 * time.Second),
			Restart: config.Temporary, DependsOn: map[string]config.Condition{"b": config.Started},
			Actors: []config.Actor{{Name: "c", Command: []string{"./c", "-x"}}},
		}, {Name: "b", Command: []string{"/src/b"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// problems fails the test unless a file is refused with exactly these problems.
func problems(t *testing.T, text string, o read.Options, want string) {
	t.Helper()
	tree, err := parse(text, o)
	if _, ok := errors.AsType[*config.Error](err); !ok || tree != nil {
		t.Fatalf("got %+v, %v; want %s", tree, err, want)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// valid returns what a file without problems says.
func valid(t *testing.T, text string, o read.Options) *config.Tree {
	t.Helper()
	tree, err := parse(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestSmallestFile(t *testing.T) {
	want := &config.Tree{Actors: []config.Actor{{Name: "a", Command: []string{"x"}}}}
	for name, text := range map[string]string{
		"block":              one(""),
		"flow":               "{actors: [{name: a, command: [x]}]}",
		"JSON":               `{"actors": [{"name": "a", "command": ["x"]}]}`,
		"byte order mark":    "\ufeff" + one(""),
		"carriage returns":   strings.ReplaceAll(one(""), "\n", "\r\n"),
		"one marked as such": "---\n" + one("...\n"),
		"empty mappings":     one("    env: {}\n    depends_on: {}\n    actors: []\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, valid(t, text, read.Options{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadNamesTheFileInItsProblems(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tree.yaml")
	if err := os.WriteFile(path, []byte("name: ${TRELLIS_CONFIG_TEST}\nactors: [{name: a, command: [x]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := path + ":1:7: name: variable TRELLIS_CONFIG_TEST is not set; set it, or give a default as in ${TRELLIS_CONFIG_TEST:-default}"
	if _, err := read.Load(path, read.Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	t.Setenv("TRELLIS_CONFIG_TEST", "from the environment")
	if tree, err := read.Load(path, read.Options{}); err != nil || tree.Name != "from the environment" {
		t.Errorf("got %+v, %v", tree, err)
	}
	if _, err := read.Load(path+".none", read.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
