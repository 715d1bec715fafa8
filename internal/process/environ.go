package process

import (
	"os"
	"slices"
	"strings"
)

// inherited are the variables that a child gets from its host: what programs
// need to find their user, language, time zone, files, certificates and the Go
// toolchain, and nothing that is meant for the host itself or is likely to be a
// secret. A name may end in *.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR",
	"TMPDIR", "XDG_*", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GOROOT", "GOPATH", "GOBIN", "GOCACHE", "GOMODCACHE", "GOENV", "GOFLAGS", "GOPROXY", "GONOPROXY",
	"GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN", "GOWORK", "GOTRACEBACK", "GOCOVERDIR", "GORACE",
	// Windows
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERNAME", "USERPROFILE",
	"HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
}

// reserved variables belong to the one link between a host and its child; a
// grandchild would take them for its own.
var reserved = []string{"PLUGIN_*", "TRELLIS_*"}

// Environ is the base environment of a child: the host's, reduced to a list of
// harmless names and those in allow, which may end in * (AWS_*). A variable
// whose name starts with PLUGIN_ or TRELLIS_ is never in it.
func Environ(allow []string) []string {
	var env []string
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		if !matches(reserved, key) && (matches(inherited, key) || matches(allow, key)) {
			env = append(env, entry)
		}
	}
	return env
}

// matches says whether a name is in a list of names and prefixes.
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return sameName(name, pattern) || open && hasPrefix(name, prefix)
	})
}

func hasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && sameName(name[:len(prefix)], prefix)
}
