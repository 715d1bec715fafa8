package process

import (
	"debug/buildinfo"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// init gives the program the name back that it was called by, where its host has put
// a title in its place.
func init() {
	if name, ok := os.LookupEnv(environ.Name); ok && len(os.Args) > 0 {
		os.Args[0] = name
	}
	_ = os.Unsetenv(environ.Name) // fails only for names that cannot be set
}

// isOurs reports whether a program is known to contain this package's module: one
// that was built by the go command says so in its build information. Of any other program it is not
// known what a strange argv[0] does: busybox picks its applet by it, and shims their tool.
func isOurs(path string) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return false
	}
	return info.Main.Path == module || slices.ContainsFunc(info.Deps, func(d *debug.Module) bool { return d.Path == module })
}

// module is the path of the module that this package is in.
var module = strings.TrimSuffix(reflect.TypeFor[Spec]().PkgPath(), "/internal/process")
