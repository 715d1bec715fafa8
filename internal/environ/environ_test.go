package environ

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// N20: a child inherits exactly what it is given, and no credentials of the host (X10).
func TestN20_BaseIsAListOfNames(t *testing.T) {
	given := map[string]bool{
		"PATH": true, "LC_TIME": true, "XDG_DATA_DIRS": true, "XDG_SEAT": true, "GOCACHE": true,
		"GOPROXY": false, "GOFLAGS": false, "GOENV": false, "GOSUMDB": false, "AWS_REGION": false,
		"PLUGIN_MIN_PORT": false, "PLUGIN_CLIENT_CERT": false, "TRELLIS_LIFELINE": false, "SECRET_TOKEN": false, "LCX": false,
	}
	for name := range given {
		t.Setenv(name, "v")
	}
	env := Base()
	for name, want := range given {
		if got := index(env, name) >= 0; got != want {
			t.Errorf("%s: in the environment is %v", name, got)
		}
	}
}

// B02: relative paths mean what they meant where this program was started.
func TestN20_RelativePathsAreMadeAbsolute(t *testing.T) {
	list := string(filepath.ListSeparator)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return filepath.Join(dir, path) }
	t.Chdir(t.TempDir())
	for name, value := range map[string][2]string{
		"TMPDIR":         {"tmp", at("tmp")},
		"GOCACHE":        {"./cache", at("cache")},
		"XDG_CACHE_HOME": {"cache", at("cache")},
		"XDG_SEAT":       {"seat0", "seat0"},
		"SSL_CERT_DIR":   {"", ""},
		"GOPATH":         {dir + list + "go" + list, dir + list + at("go") + list},
	} {
		t.Setenv(name, value[0])
		if got := Lookup(Base(), name); got != value[1] {
			t.Errorf("%s=%s: a child gets %q, want %q", name, value[0], got, value[1])
		}
	}
}

func TestMergeLastOneCounts(t *testing.T) {
	got := Merge([]string{"A=1", "B=1", "A=2"}, []string{"B=2"}, nil, []string{"C=3"})
	if want := []string{"A=2", "B=2", "C=3"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// F09: what cannot be carried, or would be overruled, is refused (B11, B13, X13).
func TestF09_VariablesThatCannotBe(t *testing.T) {
	for name, value := range map[string]string{"PLUGIN_DATA_DIR": "/data", "TRELLIS_CGROUP": "off", "a.b": "x=y", "EMPTY": ""} {
		if err := CheckVariable(name, value); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	refused := map[string]string{"A=B": "v", "": "w", "N\x00": "x", "C": "y\x00", "TRELLIS_COOKIE": "x"}
	for _, name := range append(GoPlugin(), Lifeline, Identity) {
		refused[name] = "x"
	}
	for name, value := range refused {
		err := CheckVariable(name, value)
		if err == nil || !strings.HasPrefix(err.Error(), "expected ") {
			t.Errorf("%q: %q is refused with %v", name, value, err)
		}
		if _, err := Join(map[string]string{"OK": "1", name: value}); err == nil || !strings.HasPrefix(err.Error(), "env: expected ") {
			t.Errorf("Join %q: %v", name, err)
		}
	}
	if env, err := Join(map[string]string{"B": "2", "A": "1"}); err != nil || !slices.Equal(env, []string{"A=1", "B=2"}) {
		t.Errorf("%q, %v", env, err)
	}
}
