package directory

import (
	"regexp"
	"strings"
)

// Bounds of what an actor may say of those below it. A message that says it has a bound of
// its own (internal/report).
const (
	mostPath      = 4096 // bytes
	mostUUID      = 256  // bytes
	mostEndpoints = 256
)

// pathForm is the form of a path: names as configs have them, and numbers of those that share
// one.
var pathForm = regexp.MustCompile(`^[a-z0-9_-]{1,63}(#[0-9]{1,9})?(/[a-z0-9_-]{1,63}(#[0-9]{1,9})?)*$`)

func validPath(path string) bool { return len(path) <= mostPath && pathForm.MatchString(path) }

// nameAt is the name of the actor at a path.
func nameAt(path string) string {
	name, _, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], "#")
	return name
}
