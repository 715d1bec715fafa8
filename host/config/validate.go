package config

import (
	"encoding/hex"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nameForm is what actors may be called: names stand in paths, logs and ps.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// validate reports what is well formed and still makes no sense.
func (r *reader) validate(root *yaml.Node, t *Tree) {
	if len(t.Actors) == 0 {
		r.report(root, "actors", "expected at least one actor, there is none")
	}
	r.validateActors(child(root, "actors"), t.Actors, "actors")
	run := child(root, "run")
	if t.Run == nil || run == nil {
		return
	}
	if t.Run.Endpoint == "" {
		r.report(run, "run.endpoint", "expected the name of an endpoint, there is none")
	}
	if _, known := index(t.Actors)[t.Run.Actor]; !known {
		r.report(orParent(child(run, "actor"), run), "run.actor", "expected one of the tree's own actors (%s), got %q",
			strings.Join(sortedKeys(index(t.Actors)), ", "), t.Run.Actor)
	}
}

// validateActors checks siblings. list may be nil or of another kind after a
// problem that has been reported.
func (r *reader) validateActors(list *yaml.Node, actors []Actor, path string) {
	first := map[string]*yaml.Node{}
	for i, a := range actors {
		if list == nil || list.Kind != yaml.SequenceNode || i >= len(list.Content) {
			return
		}
		n := list.Content[i]
		at := itemPath(path, n, i)
		r.validateName(n, a, at, first)
		r.validateProgram(n, a, at)
		r.validateDependencies(n, a, actors, at)
		r.validateActors(child(n, "actors"), a.Actors, join(at, "actors"))
	}
	if cycle := findCycle(actors); cycle != nil {
		r.report(first[cycle[0]], path, "depends_on is circular: %s; remove one of these", arrows(cycle))
	}
}

func (r *reader) validateName(n *yaml.Node, a Actor, path string, first map[string]*yaml.Node) {
	at := orParent(child(n, "name"), n)
	switch {
	case a.Name == "" && child(n, "name") == nil:
		r.report(n, path, "expected a name, there is none")
	case !nameForm.MatchString(a.Name):
		r.report(at, path, "expected a name of 1 to 63 letters a-z, digits, - and _, got %q", a.Name)
	case first[a.Name] != nil:
		r.report(at, path, "an actor beside it has the same name (line %d); rename one, or use replicas", first[a.Name].Line)
	default:
		first[a.Name] = at
	}
}

func (r *reader) validateProgram(n *yaml.Node, a Actor, path string) {
	hasPackage, hasCommand := child(n, "package") != nil, child(n, "command") != nil
	switch {
	case hasPackage && hasCommand:
		r.report(n, path, "expected either package or command, there are both")
	case !hasPackage && !hasCommand:
		r.report(n, path, "expected package (a Go package to build) or command (a program to start), there is neither")
	case hasPackage && a.Package == "":
		r.report(child(n, "package"), join(path, "package"), "expected a Go package such as ./plugins/parser, it is empty")
	case hasCommand && (len(a.Command) == 0 || a.Command[0] == ""):
		r.report(child(n, "command"), join(path, "command"), "expected a program and its arguments, it is empty")
	}
	r.validateValues(n, a, path)
}

func (r *reader) validateValues(n *yaml.Node, a Actor, path string) {
	if at := child(n, "replicas"); at != nil && at.Tag == "!!int" && (a.Replicas < 1 || a.Replicas > MaxReplicas) {
		r.report(at, join(path, "replicas"), "expected a whole number from 1 to %d, got %q", MaxReplicas, at.Value)
	}
	if sum, err := hex.DecodeString(a.SHA256); a.SHA256 != "" && (err != nil || len(sum) != 32) {
		r.report(child(n, "sha256"), join(path, "sha256"), "expected 64 hex digits, as sha256sum prints them, got %q", a.SHA256)
	}
	if a.Restart != "" && a.Restart != Temporary {
		r.report(child(n, "restart"), join(path, "restart"), "expected temporary, the only kind that this version has, got %q", a.Restart)
	}
}

func (r *reader) validateDependencies(n *yaml.Node, a Actor, siblings []Actor, path string) {
	list := child(n, "depends_on")
	for _, name := range sortedKeys(a.DependsOn) {
		at := orParent(child(list, name), n)
		if _, known := index(siblings)[name]; !known {
			r.report(at, join(path, "depends_on"), "expected actors beside this one (%s), got %q",
				strings.Join(sortedKeys(index(siblings)), ", "), name)
		}
		if a.DependsOn[name] != Started {
			r.report(at, join(path, "depends_on."+name), "expected the condition started, got %q", a.DependsOn[name])
		}
	}
}

func orParent(n, parent *yaml.Node) *yaml.Node {
	if n == nil {
		return parent
	}
	return n
}
