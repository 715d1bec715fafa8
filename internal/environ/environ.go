package environ

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// inherited are the variables that a child gets from its host: what programs need
// to find their user, language, time zone, files, certificates and the Go
// toolchain. Nothing is in it that is meant for the host itself or is likely to be
// a secret: GOPROXY may have a password, GOFLAGS and GOENV may run programs. An
// actor that needs another one names it in its env. A name may end in *. The list is in
// docs/config.md for users, as nothing else tells an actor why a variable is missing.
var inherited = []string{
	"USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "XDG_*",
	"GOTOOLCHAIN", "GOTRACEBACK", "GORACE", "TRELLIS_TRANSPORT",
	// Windows
	"PATHEXT", "USERNAME", "SYSTEMDRIVE", "HOMEDRIVE", "HOMEPATH", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
}

// paths are those of them that hold a path, pathLists those that hold a list of
// paths. A child may have another working directory, in which a relative one would
// mean something else.
var (
	paths = []string{
		"HOME", "SHELL", "TZDIR", "TMPDIR", "XDG_*_HOME", "XDG_*_DIR", "SSL_CERT_FILE",
		"GOROOT", "GOBIN", "GOCACHE", "GOMODCACHE", "GOCOVERDIR",
		// Windows
		"SYSTEMROOT", "WINDIR", "COMSPEC", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
	}
	pathLists = []string{"PATH", "XDG_*_DIRS", "SSL_CERT_DIR", "GOPATH"}
)

// home is the working directory in which this program was started: what relative
// paths in its environment mean. It is asked for before main runs, since an application may
// change its directory at any time later.
var home, _ = os.Getwd() // "": they stay as they are

// Base is what a child gets of this program's environment without being given it:
// a list of harmless names. Relative paths in it are made absolute. A name may match more than
// one of the lists, as XDG_CONFIG_HOME does; those of paths come first.
func Base() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case matches(paths, name):
			env = append(env, name+"="+Absolute(value))
		case matches(pathLists, name):
			env = append(env, name+"="+absoluteList(value))
		case matches(inherited, name):
			env = append(env, entry)
		}
	}
	return env
}

// absoluteList makes each path of a list absolute. An empty one is left: it has a
// meaning of its own in most lists, such as "here" in PATH and "the defaults" in others.
func absoluteList(list string) string {
	items := filepath.SplitList(list)
	for i, item := range items {
		items[i] = Absolute(item)
	}
	return strings.Join(items, string(filepath.ListSeparator))
}

// Absolute is a path of this program's environment as other processes can read it,
// and this one after it has changed its working directory.
func Absolute(path string) string {
	if path == "" || home == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, path)
}

// Join writes variables as an environment, in the order of their names. It refuses
// those that a description cannot set.
func Join(variables map[string]string) (env []string, err error) {
	for name, value := range variables {
		if err := CheckVariable(name, value); err != nil {
			return nil, fmt.Errorf("env: %w", err)
		}
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env, nil
}

// Merge joins environments; for a name that comes more than once the last value
// counts. (Programs differ in which of two they see, so there is one.) A name keeps the place
// where it first came. An environment has some tens of entries, so looking through all of them for
// each one costs less than a map would.
func Merge(lists ...[]string) []string {
	var merged []string
	for _, list := range lists {
		for _, entry := range list {
			if i := index(merged, entry); i >= 0 {
				merged[i] = entry
			} else {
				merged = append(merged, entry)
			}
		}
	}
	return merged
}

// index finds the entry with the same name; -1 if there is none.
func index(env []string, entry string) int {
	name, _, _ := strings.Cut(entry, "=")
	return slices.IndexFunc(env, func(other string) bool {
		n, _, _ := strings.Cut(other, "=")
		return folded(n) == folded(name)
	})
}

// Lookup finds the value of a name in an environment; "" if there is none.
func Lookup(env []string, name string) string {
	if i := index(env, name); i >= 0 {
		_, value, _ := strings.Cut(env[i], "=")
		return value
	}
	return ""
}

// matches reports whether a name is in a list of names, in which a * stands for any text.
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		fits, _ := filepath.Match(pattern, folded(name)) // the patterns are good
		return fits
	})
}
