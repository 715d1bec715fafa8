package process

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// Spec is what to execute, and how.
type Spec struct {
	// Path is the program file. It is not searched in PATH; a relative one is
	// relative to the host's working directory, whatever Dir says.
	Path string
	// Args are the arguments without the program's name.
	Args []string
	// Name is what the program is called by, its argv[0]; "" stands for Path. Some
	// programs do by it what they do.
	Name string
	// Title is what ps shows instead of Name, if the program contains this package,
	// which puts Name back into os.Args; "" is none. Others get no title: they might
	// not know who they are.
	Title string
	// Dir is the child's working directory; "" is the host's.
	Dir string
	// Env is the child's environment as KEY=value, all of it: nothing comes
	// from the host by itself (see environ.Base). What go-plugin put into its
	// command is laid on top, and then TRELLIS_LIFELINE.
	Env []string
	// SHA256 is the program's checksum in hex; "" is not checked. On Linux the
	// sum is taken of the very descriptor that is executed, so that no rename
	// comes in between (whoever can write into the file itself still can); the
	// child inherits that descriptor, read-only, as the last one. Elsewhere
	// the file is opened twice.
	SHA256 string
	// Stdin is its standard input, which stays the caller's, who may close it as soon as Start
	// has returned; nil stands for an empty one. A pipe whose other end the host alone has
	// ends with the host.
	Stdin *os.File
	// Files are extra descriptors, from 4 up (3 is the lifeline). They stay
	// the caller's, who may close them as soon as Start has returned. A child
	// that contains this package does not pass them on to its own children.
	Files []*os.File
	// Cgroup asks for a cgroup of the child's own, in which everything that it
	// starts can be found and killed. Where the system gives
	// none (see [rundir.Cgroup]) the child lives without.
	Cgroup bool
	// Limits bound what the child may use. A start that cannot set them fails.
	Limits Limits
	// Gist returns what is worth keeping of a line on stderr for Exit.LastLog; ""
	// keeps nothing of it. Of a line that was cut it gets the head. It is called
	// by the goroutine that reads stderr, and must not wait. nil keeps every line
	// as it is.
	Gist func(text []byte, cut bool) string
	// Log gets every line of stderr, and of stdout after the handshake line.
	// It is called from one goroutine, one line at a time. It may be slow: a
	// queue of 1 MiB lies in between, and what does not fit is dropped and
	// counted in Line.Dropped, so that no Log can ever block the child. nil
	// drops everything.
	Log func(Line)
}

// name is what the program is called by, in its argv and in errors.
func (s *Spec) name() string { return cmp.Or(s.Name, s.Path) }

// title is what it is called by elsewhere.
func (s *Spec) title() string { return cmp.Or(s.Title, s.name()) }

// check refuses what the operating system cannot carry, and returns the program's
// absolute path: exec would look from Dir.
func (s *Spec) check() (path string, err error) {
	for _, text := range slices.Concat([]string{s.Path, s.Name, s.Title, s.Dir}, s.Args, s.Env) {
		if err := environ.CheckText(text); err != nil {
			return "", err
		}
	}
	for _, entry := range s.Env {
		name, _, _ := strings.Cut(entry, "=")
		if err := environ.CheckName(name); err != nil {
			return "", err
		}
	}
	return filepath.Abs(s.Path)
}

// argv is the child's argument vector, with a title if its program bears one, and
// the variable that then tells it its name.
func (s *Spec) argv(path string) (argv, env []string) {
	if s.Title != "" && isOurs(path) {
		return append([]string{s.Title}, s.Args...), []string{environ.Name + "=" + s.name()}
	}
	return append([]string{s.name()}, s.Args...), nil
}
