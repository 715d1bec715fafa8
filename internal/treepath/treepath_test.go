package treepath_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-2ba35074/trellis/internal/treepath"
)

func TestPartsOfAPath(t *testing.T) {
	for path, want := range map[string][3]string{
		"":                  {"", "", ""},
		"census":            {"", "census", "census"},
		"census/parser#2":   {"census", "parser#2", "parser"},
		"a#1/b#2/c":         {"a#1/b#2", "c", "c"},
		"census/parser/one": {"census/parser", "one", "one"},
	} {
		got := [3]string{treepath.Host(path), treepath.Last(path), treepath.Name(path)}
		if got != want {
			t.Errorf("%q: host, last part and name are %q, want %q", path, got, want)
		}
		if path != "" && treepath.Join(got[0], got[1]) != path {
			t.Errorf("%q is not what its parts give together", path)
		}
	}
}

func TestNumber(t *testing.T) {
	for path, want := range map[string]int{"a": 1, "a#2": 2, "b#3/a": 1, "b/a#12": 12, "": 1} {
		if got := treepath.Number(path); got != want {
			t.Errorf("%q: %d, want %d", path, got, want)
		}
		if got, want := treepath.Unnumbered(path), strings.TrimSuffix(path, fmt.Sprint("#", want)); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestIsBelow(t *testing.T) {
	for _, c := range []struct {
		path, above string
		want        bool
	}{
		{"a", "", true},
		{"a/b/c", "a", true},
		{"a/b", "a/b", false},
		{"ab", "a", false},
		{"a", "a/b", false},
		{"", "", false},
	} {
		if got := treepath.IsBelow(c.path, c.above); got != c.want {
			t.Errorf("%q is below %q: %v", c.path, c.above, got)
		}
	}
}

func TestValid(t *testing.T) {
	for path, want := range map[string]bool{
		"census":                         true,
		"census/parser#2":                true,
		"":                               false,
		"census/":                        false,
		"a//b":                           false,
		"A":                              false,
		"a/\x1b[2J":                      false,
		strings.Repeat("a", 64):          false,
		strings.Repeat("a/", 2047) + "a": true,
		strings.Repeat("a/", 2048) + "a": false,
	} {
		if got := treepath.Valid(path); got != want {
			t.Errorf("%.50q (%d bytes): %v, want %v", path, len(path), got, want)
		}
	}
}

func TestExact(t *testing.T) {
	for path, want := range map[string]string{"parser": "parser#1", "parser#2": "parser#2", "census/parser": "census/parser#1", "a#2/b": "a#2/b#1"} {
		if got := treepath.Exact(path); got != want || !treepath.Is(path, got) || !treepath.Is(path, path) || treepath.Is(path+"#2", got) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
