package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// GoPlugin describes a foreign program: a plugin for hashicorp/go-plugin over gRPC
// that knows nothing of Trellis. It is supervised as any actor and serves no
// endpoints; the application calls it with a gRPC client of its own.
type GoPlugin struct {
	// Cookie is the one variable by which the program knows that it is started as
	// a plugin: its MagicCookieKey and MagicCookieValue.
	Cookie map[string]string `yaml:"cookie" json:"cookie"`
	// Versions are the protocol versions that the application speaks. The program
	// picks the highest that it knows.
	Versions []int `yaml:"versions" json:"versions"`
	MTLS     MTLS  `yaml:"mtls" json:"mtls,omitempty" default:"auto"`
}

// MTLS says how the connection to a foreign program is protected.
type MTLS string

// The kinds of protection.
const (
	MTLSAuto MTLS = "auto" // go-plugin's AutoMTLS: a certificate on each side, made for this process
	MTLSOff  MTLS = "off"  // none: for programs that cannot, which is rare outside of Go
)

// Misfit is one thing about an actor that does not go with its being a foreign
// program.
type Misfit struct {
	Key     string // such as goplugin.cookie
	Message string // what was expected, what came, what to do
}

// Misfits says what is wrong with the description of a foreign program; nothing
// for other actors.
func (a Actor) Misfits() []Misfit {
	if a.GoPlugin == nil {
		return nil
	}
	var all []Misfit
	note := func(wrong bool, key, format string, args ...any) {
		if wrong {
			all = append(all, Misfit{key, fmt.Sprintf(format, args...)})
		}
	}
	note(len(a.GoPlugin.Cookie) != 1, "goplugin.cookie",
		"expected exactly one {KEY: value}, the MagicCookieKey and MagicCookieValue of the program, got %d", len(a.GoPlugin.Cookie))
	for key, value := range a.GoPlugin.Cookie {
		note(key == "" || value == "" || strings.ContainsAny(key, "=\x00") || strings.Contains(value, "\x00"), "goplugin.cookie",
			"expected the name of a variable and its value, neither empty, got %q: %q", key, value)
		note(reservedName(key), "goplugin.cookie", "expected a name that is not the protocol's own, got %q", key)
	}
	note(len(a.GoPlugin.Versions) == 0, "goplugin.versions", "expected the protocol versions that you speak, such as [1], there are none")
	for _, v := range a.GoPlugin.Versions {
		note(v < 0, "goplugin.versions", "expected numbers from 0 up, got %d", v)
	}
	note(a.GoPlugin.MTLS != "" && a.GoPlugin.MTLS != MTLSAuto && a.GoPlugin.MTLS != MTLSOff, "goplugin.mtls",
		"expected auto or off, got %q", a.GoPlugin.MTLS)
	note(len(a.Actors) > 0, "actors", "a foreign program cannot start actors of the tree; put them beside it")
	note(a.Health.Endpoint != "", "health.endpoint", "a foreign program serves no endpoints; its gRPC health service is asked")
	return all
}

func reservedName(key string) bool {
	return strings.HasPrefix(key, "PLUGIN_") || strings.HasPrefix(key, "TRELLIS_")
}

// validateForeign reports what is wrong with the foreign programs of a tree.
func (r *reader) validateForeign(root *yaml.Node, t *Tree) {
	r.validateGoPlugins(child(root, "actors"), t.Actors, "actors")
	if t.Run == nil || index(t.Actors)[t.Run.Actor].GoPlugin == nil {
		return
	}
	run := cmp.Or(child(root, "run"), root)
	r.report(cmp.Or(child(run, "actor"), run), "run.actor",
		"expected an actor that serves endpoints, got %q, which is a foreign program (goplugin)", t.Run.Actor)
}

// validateGoPlugins checks siblings and what is below them. list may be nil or of
// another kind after a problem that has been reported.
func (r *reader) validateGoPlugins(list *yaml.Node, actors []Actor, path string) {
	for i, a := range actors {
		if list == nil || list.Kind != yaml.SequenceNode || i >= len(list.Content) {
			return
		}
		n := list.Content[i]
		at := itemPath(path, n, i)
		for _, m := range a.Misfits() {
			r.reportMisfit(n, at, m)
		}
		r.validateGoPlugins(child(n, "actors"), a.Actors, join(at, "actors"))
	}
}

// reportMisfit reports what is wrong with a key, unless its value could not even be
// read, which is a problem already.
func (r *reader) reportMisfit(n *yaml.Node, path string, m Misfit) {
	path = join(path, m.Key)
	if slices.ContainsFunc(r.problems, func(p Problem) bool { return strings.HasPrefix(p.Path, path) }) {
		return
	}
	for key := range strings.SplitSeq(m.Key, ".") {
		n = cmp.Or(child(n, key), n)
	}
	r.report(n, path, "%s", m.Message)
}
