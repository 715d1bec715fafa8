package config

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// nameForm is what actors may be called: names stand in paths, logs and ps.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Check says what is wrong with a tree: what cannot be, and what would have no
// effect. It returns nil or an *Error.
func (t *Tree) Check() error {
	c := &checker{}
	c.values(reflect.ValueOf(t.Supervision), (*place)(nil).key("supervision"))
	if len(t.Actors) == 0 {
		c.note((*place)(nil).key("actors"), "expected at least one actor, there is none")
	}
	if n := countProcesses(t.Actors); n > MaxProcesses {
		c.note((*place)(nil).key("actors"), "expected a tree of at most %d processes, replicas and children included, got %.0f", MaxProcesses, n)
	}
	c.siblings(t.Actors, (*place)(nil).key("actors"))
	if len(t.Actors) > 0 {
		c.supervision(t.Supervision, t.Actors, nil)
	}
	if t.Run != nil {
		c.run(t, (*place)(nil).key("run"))
	}
	return c.err()
}

// Check says what is wrong with an actor, and with those below it, as Tree.Check does.
// What it depends on is not looked at.
func (a Actor) Check() error {
	c := &checker{}
	if n := countProcesses([]Actor{a}); n > MaxProcesses {
		c.note(nil, "expected at most %d processes, replicas and children included, got %.0f", MaxProcesses, n)
	}
	c.actor(a, nil)
	return c.err()
}

// Check says what is wrong with a supervision by itself.
func (s Supervision) Check() error {
	c := &checker{}
	c.values(reflect.ValueOf(s), (*place)(nil).key("supervision"))
	return c.err()
}

// countProcesses is how many processes actors are, perhaps more than an int can say.
func countProcesses(actors []Actor) float64 {
	var n float64
	for _, a := range actors {
		n += math.Max(1, float64(a.Replicas)) * (1 + countProcesses(a.Actors))
	}
	return n
}

func (c *checker) run(t *Tree, at *place) {
	if t.Run.Endpoint == "" {
		c.note(at.key("endpoint"), "expected the name of an endpoint, there is none")
	}
	known := index(t.Actors)
	a, found := known[t.Run.Actor]
	_, nameless := known[""]
	switch {
	case nameless: // it may be the one that is meant
	case t.Run.Actor == "":
		c.note(at.key("actor"), "expected one of the tree's own actors (%s), there is none", words.List(sortedKeys(known), ", "))
	case !found:
		c.note(at.key("actor"), "expected one of the tree's own actors (%s), got %s%s", words.List(sortedKeys(known), ", "),
			words.Quote(t.Run.Actor), words.DidYouMean(t.Run.Actor, sortedKeys(known)))
	case a.GoPlugin != nil:
		c.note(at.key("actor"), "expected an actor that serves endpoints, got %q, which is a foreign program (goplugin)", a.Name)
	}
}

// siblings checks actors beside one another.
func (c *checker) siblings(actors []Actor, at *place) {
	position := map[string]int{}
	for i, a := range actors {
		if _, taken := position[a.Name]; taken && a.Name != "" {
			c.note(at.item(i, a.Name).key("name"), "an actor beside it has the same name; rename one, or use replicas")
			continue
		}
		position[a.Name] = i
	}
	for i, a := range actors {
		here := at.item(i, a.Name)
		c.actor(a, here)
		c.dependencies(a, actors, position, here, at)
	}
	if cycle := findCycle(actors); cycle != nil {
		first := at.item(position[cycle[0]], cycle[0])
		c.note(first.key("depends_on").key(cycle[1]), "depends_on is circular: %s; remove one of these", arrows(cycle))
	}
}

// actor checks an actor and what is below it.
func (c *checker) actor(a Actor, at *place) {
	switch {
	case a.Name == "":
		c.note(at.key("name"), "expected a name, there is none")
	case !nameForm.MatchString(a.Name):
		c.note(at.key("name"), "expected a name of 1 to 63 letters a-z, digits, - and _, got %s", words.Quote(a.Name))
	}
	if a.Replicas > MaxReplicas {
		c.note(at.key("replicas"), "expected a whole number from 1 to %d, got %d", MaxReplicas, a.Replicas)
	}
	c.values(reflect.ValueOf(a), at)
	c.program(a, at)
	c.limits(a.Limits, at.key("limits"))
	c.restart(a, at)
	c.health(a.Health, at.key("health"))
	c.streams(a.Streams, at.key("streams"))
	c.foreign(a, at)
	c.siblings(a.Actors, at.key("actors"))
	c.supervision(a.Supervision, a.Actors, at)
}

func (c *checker) program(a Actor, at *place) {
	pkg, command := at.key("package"), at.key("command")
	switch {
	case a.Package != "" && len(a.Command) > 0:
		c.note(at, "expected either package or command, there are both")
	case a.Package == "" && len(a.Command) == 0:
		c.note(at, "expected package (a Go package to build) or command (a program to start), there is neither").because(pkg, command)
	case strings.HasPrefix(a.Package, "-"):
		c.note(pkg, "expected a Go package such as ./plugins/parser, got %s, which the go command takes for an option", words.Quote(a.Package))
	case len(a.Command) > 0 && a.Command[0] == "":
		c.note(command.item(0, ""), "expected a program, it is empty")
	}
	if sum, err := hex.DecodeString(a.SHA256); a.SHA256 != "" && (err != nil || len(sum) != sha256.Size) {
		c.note(at.key("sha256"), "expected 64 hex digits, as sha256sum prints them, got %s", words.Quote(a.SHA256))
	}
	c.carried(environ.CheckText(a.Package), pkg)
	c.carried(environ.CheckText(a.Dir), at.key("dir"))
	for i, text := range a.Command {
		c.carried(environ.CheckText(text), command.item(i, ""))
	}
	for _, name := range sortedKeys(a.Env) {
		c.carried(environ.CheckVariable(name, a.Env[name]), at.key("env").key(name))
	}
}

// carried notes what the operating system cannot carry.
func (c *checker) carried(err error, at *place) {
	if err != nil {
		c.note(at, "%v", err)
	}
}

func (c *checker) dependencies(a Actor, siblings []Actor, position map[string]int, at, list *place) {
	_, nameless := position[""]
	for _, name := range sortedKeys(a.DependsOn) {
		here := at.key("depends_on").key(name)
		i, known := position[name]
		switch {
		case !known && !nameless: // else it may be the one that is meant
			c.unknownSibling(a, position, name, here)
		case known && a.DependsOn[name] == Healthy && siblings[i].Health.Off:
			c.note(here, "the health checks of %s are off, so that it never becomes healthy; write started, or remove its health.off", name).
				because(list.item(i, name).key("health").key("off")).idle(string(Started))
		}
	}
}

func (c *checker) unknownSibling(a Actor, position map[string]int, name string, at *place) {
	if len(c.found.Problems) == MaxProblems {
		c.found.More++ // without looking at all siblings again
		return
	}
	others := slices.DeleteFunc(sortedKeys(position), func(s string) bool { return s == a.Name })
	beside := "there are none"
	if len(others) > 0 {
		beside = words.List(others, ", ")
	}
	c.note(at, "expected actors beside this one (%s), got %s%s", beside, words.Quote(name), words.DidYouMean(name, others))
}
