package treepath

import (
	"regexp"
	"strconv"
	"strings"
)

// Most is how many bytes a path may have.
const Most = 4096

// form is the form of a path: names as configs have them, and numbers of those that share one.
var form = regexp.MustCompile(`^[a-z0-9_-]{1,63}(#[0-9]{1,9})?(/[a-z0-9_-]{1,63}(#[0-9]{1,9})?)*$`)

// Valid reports whether an actor that is not the root can have this path.
func Valid(path string) bool { return len(path) <= Most && form.MatchString(path) }

// Join is the path of an actor below another one.
func Join(host, below string) string {
	if host == "" {
		return below
	}
	return host + "/" + below
}

// IsBelow reports whether a path is below another one, of which "" is above all but itself.
func IsBelow(path, above string) bool {
	if above == "" {
		return path != ""
	}
	return len(path) > len(above) && path[len(above)] == '/' && strings.HasPrefix(path, above)
}

// Below is the rest of a path that is below another one.
func Below(path, above string) string {
	if above == "" {
		return path
	}
	return path[len(above)+1:]
}

// Host is the path of an actor's host.
func Host(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// Last is an actor's own part of its path.
func Last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// Is reports whether text means exactly the actor at a path. The first of several actors of a
// name has that name for its path; name#1 means it and none of the others.
func Is(path, text string) bool { return text == path || text == path+"#1" }

// Exact is the text by which a path is told from the name of actors that may be anywhere, and from that of all replicas.
func Exact(path string) string {
	if strings.Contains(Last(path), "#") {
		return path
	}
	return path + "#1"
}

// Name is the name of the actor at a path.
func Name(path string) string {
	name, _, _ := strings.Cut(Last(path), "#")
	return name
}

// Unnumbered is a path without the number that its last part may have: all that share it have
// the same.
func Unnumbered(path string) string { return path[:len(path)-len(Last(path))] + Name(path) }

// Number is which of those that share a name beside one another the actor at a path is: the N
// of #N, or 1.
func Number(path string) int {
	_, number, _ := strings.Cut(Last(path), "#")
	if n, err := strconv.Atoi(number); err == nil {
		return n
	}
	return 1
}

// Concerns reports whether a text is the path or the name of an actor, or of one that hosts it, however far up; an empty
// text is everybody's. It goes up from the actor, host by host, since a name may stand anywhere in a path. Whoever
// names a host means all that is below it: that is how people look for what goes wrong.
func Concerns(path, text string) bool {
	for at := path; ; at = Host(at) {
		if text == "" || at == text || at != "" && Name(at) == text {
			return true
		}
		if at == "" {
			return false
		}
	}
}
