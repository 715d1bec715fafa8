package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nameForm is what actors may be called: names stand in paths, logs and ps.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// validate reports what is well formed and still makes no sense. What decode has
// refused is left alone.
func (r *reader) validate(root *yaml.Node, t *Tree) {
	if list := child(root, "actors"); len(t.Actors) == 0 && !r.refused[list] {
		r.report(root, "actors", "expected at least one actor, there is none")
	}
	r.validateActors(child(root, "actors"), t.Actors, "actors")
	r.validateSupervision(root, t.Supervision, t.Actors, "")
	if run := r.given(root, "run"); run != nil {
		r.validateRun(run, t)
	}
}

// given is the value of a key that a mapping has and that decode could use; nil
// otherwise.
func (r *reader) given(n *yaml.Node, key string) *yaml.Node {
	if value := child(n, key); !r.refused[value] {
		return value
	}
	return nil
}

// usable tells that a key's value, or the lack of it, is nobody's problem yet.
func (r *reader) usable(n *yaml.Node, key string) bool { return !r.refused[child(n, key)] }

func (r *reader) validateRun(run *yaml.Node, t *Tree) {
	if t.Run.Endpoint == "" && r.usable(run, "endpoint") {
		r.report(run, "run.endpoint", "expected the name of an endpoint, there is none")
	}
	known := index(t.Actors)
	if _, ok := known[t.Run.Actor]; !ok && r.usable(run, "actor") {
		at := cmp.Or(child(run, "actor"), run)
		r.report(at, "run.actor", "expected one of the tree's own actors (%s), got %q%s",
			strings.Join(sortedKeys(known), ", "), t.Run.Actor, didYouMean(nearest(t.Run.Actor, sortedKeys(known))))
	}
}

// validateActors checks siblings. list may be nil or of another kind after a
// problem that has been reported.
func (r *reader) validateActors(list *yaml.Node, actors []Actor, path string) {
	first := map[string]*yaml.Node{}
	siblings := map[string]sibling{}
	for i, a := range actors {
		siblings[a.Name] = sibling{a, list.Content[i]}
	}
	for i, a := range actors {
		n := list.Content[i] // there are actors only where there is a list
		if r.refused[n] {
			continue
		}
		at := itemPath(path, n, i)
		r.validateName(n, a, at, first)
		r.validateProgram(n, a, at)
		r.validateValues(n, a, at)
		r.validateRestart(n, a, at)
		r.validateHealth(n, a, at)
		r.validateDependencies(n, a, siblings, at)
		r.validateActors(child(n, "actors"), a.Actors, join(at, "actors"))
		r.validateSupervision(n, a.Supervision, a.Actors, at)
	}
	if cycle := findCycle(actors); cycle != nil {
		r.report(first[cycle[0]], path, "depends_on is circular: %s; remove one of these", arrows(cycle))
	}
}

func (r *reader) validateName(n *yaml.Node, a Actor, path string, first map[string]*yaml.Node) {
	at := child(n, "name")
	switch {
	case at == nil:
		r.report(n, path, "expected a name, there is none")
	case r.refused[at]:
	case !nameForm.MatchString(a.Name):
		r.report(at, path, "expected a name of 1 to 63 letters a-z, digits, - and _, got %q", a.Name)
	case first[a.Name] != nil:
		r.report(at, path, "an actor beside it has the same name (%s); rename one, or use replicas", r.where(first[a.Name]))
	}
	if first[a.Name] == nil {
		first[a.Name] = at
	}
}

func (r *reader) validateProgram(n *yaml.Node, a Actor, path string) {
	pkg, command := child(n, "package"), child(n, "command")
	switch {
	case pkg != nil && command != nil:
		r.report(n, path, "expected either package or command, there are both")
	case pkg == nil && command == nil:
		r.report(n, path, "expected package (a Go package to build) or command (a program to start), there is neither")
	case r.given(n, "package") != nil && a.Package == "":
		r.report(pkg, join(path, "package"), "expected a Go package such as ./plugins/parser, it is empty")
	case r.given(n, "command") != nil && r.isEmptyCommand(command):
		r.report(command, join(path, "command"), "expected a program and its arguments, it is empty")
	}
}

func (r *reader) isEmptyCommand(n *yaml.Node) bool {
	return len(n.Content) == 0 || n.Content[0].Value == "" && !r.refused[n.Content[0]]
}

func (r *reader) validateValues(n *yaml.Node, a Actor, path string) {
	if at := r.given(n, "replicas"); at != nil && (a.Replicas < 1 || a.Replicas > MaxReplicas) {
		r.report(at, join(path, "replicas"), "expected a whole number from 1 to %d, got %q", MaxReplicas, at.Value)
	}
	if at := r.given(n, "sha256"); at != nil {
		if sum, err := hex.DecodeString(a.SHA256); err != nil || len(sum) != sha256.Size {
			r.report(at, join(path, "sha256"), "expected 64 hex digits, as sha256sum prints them, got %q", a.SHA256)
		}
	}
}

// sibling is an actor beside another, and where it stands.
type sibling struct {
	Actor
	at *yaml.Node
}

func (r *reader) validateDependencies(n *yaml.Node, a Actor, siblings map[string]sibling, path string) {
	list := child(n, "depends_on")
	for _, name := range sortedKeys(a.DependsOn) {
		at := child(list, name)
		needed, known := siblings[name]
		off := child(child(needed.at, "health"), "off")
		switch {
		case !known:
			others := slices.DeleteFunc(sortedKeys(siblings), func(s string) bool { return s == a.Name })
			r.report(at, join(path, "depends_on"), "expected %s, got %q%s", besides(others), name, didYouMean(nearest(name, others)))
		case a.DependsOn[name] == Healthy && needed.Health.Off && !r.overruled(at, off):
			r.report(at, join(path, "depends_on."+name), "the health checks of %s are off, so that it never becomes healthy; "+
				"write started, or remove its health.off", name)
		}
	}
}

// besides says which siblings an actor has.
func besides(others []string) string {
	if len(others) == 0 {
		return "actors beside this one (there are none)"
	}
	return "actors beside this one (" + strings.Join(others, ", ") + ")"
}
