package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/internal/environ"
)

// Misfit is one thing about an actor, taken by itself, that cannot be: a text that
// the operating system cannot carry, or what does not go with a foreign program. It
// is wrong in a file and in a Spec that is written in Go.
type Misfit struct {
	Key     []string // such as goplugin, cookie
	Message string   // what was expected, what came, what to do
}

func (m Misfit) String() string { return strings.Join(m.Key, ".") + ": " + m.Message }

// misfits gathers them.
type misfits []Misfit

func (m *misfits) note(wrong bool, key, format string, args ...any) {
	if wrong {
		*m = append(*m, Misfit{strings.Split(key, "."), fmt.Sprintf(format, args...)})
	}
}

func (m *misfits) check(err error, key ...string) {
	if err != nil {
		*m = append(*m, Misfit{key, err.Error()})
	}
}

// Misfits says what is wrong with an actor's description; nothing about its actors.
func (a Actor) Misfits() []Misfit {
	var all misfits
	for _, text := range a.Command {
		all.check(environ.CheckText(text), "command")
	}
	all.check(environ.CheckText(a.Dir), "dir")
	for _, name := range sortedKeys(a.Env) {
		all.check(environ.CheckVariable(name, a.Env[name]), "env", name)
	}
	all.note(strings.HasPrefix(a.Package, "-"), "package", "expected a Go package such as ./plugins/parser, got %q, which the go command takes for an option", a.Package)
	all.check(environ.CheckText(a.Package), "package")
	a.foreignMisfits(&all)
	return all
}

// foreignMisfits says what is wrong with the description of a foreign program.
func (a Actor) foreignMisfits(all *misfits) {
	if a.GoPlugin == nil {
		return
	}
	all.note(len(a.GoPlugin.Cookie) != 1, "goplugin.cookie",
		"expected exactly one {KEY: value}, the MagicCookieKey and MagicCookieValue of the program, got %d", len(a.GoPlugin.Cookie))
	for key, value := range a.GoPlugin.Cookie {
		all.check(environ.CheckVariable(key, value), "goplugin", "cookie")
		all.note(value == "", "goplugin.cookie", "expected the value of %s, it is empty", key)
		_, twice := a.Env[key]
		if twice {
			*all = append(*all, Misfit{[]string{"env", key}, "it is the program's cookie (goplugin.cookie), which the host sets itself; remove this"})
		}
	}
	all.note(len(a.GoPlugin.Versions) == 0, "goplugin.versions", "expected the protocol versions that you speak, such as [1], there are none")
	for _, v := range a.GoPlugin.Versions {
		all.note(v < 0, "goplugin.versions", "expected numbers from 0 up, got %d", v)
	}
	all.note(a.GoPlugin.MTLS != "" && a.GoPlugin.MTLS != MTLSAuto && a.GoPlugin.MTLS != MTLSOff, "goplugin.mtls",
		"expected auto or off, got %q", a.GoPlugin.MTLS)
	all.note(len(a.Actors) > 0, "actors", "a foreign program cannot start actors of the tree; put them beside it")
	all.note(a.Health.Endpoint != "", "health.endpoint", "a foreign program serves no endpoints; its gRPC health service is asked")
}

// reportMisfit reports what is wrong with a key, unless its value could not even be
// read, which is a problem already.
func (r *reader) reportMisfit(n *yaml.Node, path string, m Misfit) {
	for _, key := range m.Key {
		path, n = join(path, key), cmp.Or(child(n, key), n)
	}
	if !slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Path == path || strings.HasPrefix(p.Path, path+".") }) {
		r.report(n, path, "%s", m.Message)
	}
}
