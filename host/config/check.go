package config

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-2ba35074/trellis/internal/callers"
	"github.com/seed-2ba35074/trellis/internal/environ"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// nameForm is what actors may be called: names stand in paths, logs and ps. A dot would end a step
// of a path, as in --set actors.parser.replicas=2, and an @ the name in an actor's ID.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Check says what is wrong with a tree, all of it at once. It returns nil or an *Error.
func (t *Tree) Check() error { return t.CheckFrom(nil) }

// CheckFrom is [Tree.Check] for a tree that was read from a source, in which its problems
// then have their places.
func (t *Tree) CheckFrom(src Source) error {
	c := &checker{src: src}
	list := (*place)(nil).key("actors")
	c.values(reflect.ValueOf(t.Supervision), (*place)(nil).key("supervision"))
	c.telemetry(t.Telemetry)
	c.fleet(t.Fleet, (*place)(nil).key("fleet"))
	c.noteIf(t.Fleet.Registry.Driver != "" && t.Name == "", (*place)(nil).key("name"), "expected a name, which the root of the tree holds in the registry (fleet.registry)")
	if len(t.Actors) == 0 {
		c.note(list, "expected at least one actor, there is none")
	} else {
		c.supervision(t.Supervision, t.Actors, nil)
	}
	if n := countProcesses(t.Actors); n > maxProcesses {
		c.note(list, "expected a tree of at most %d processes, replicas and children included, got %.0f", maxProcesses, n)
	}
	c.siblings(t.Actors, list)
	if t.Run != nil {
		c.run(t, (*place)(nil).key("run"))
	}
	return c.err()
}

// Check says what is wrong with an actor, and with those below it, as [Tree.Check] does.
// What it depends on is not looked at: an actor that a program starts by itself has siblings
// which only its nursery knows.
func (a Actor) Check() error {
	c := &checker{}
	if n := countProcesses([]Actor{a}); n > maxProcesses {
		c.note(nil, "expected at most %d processes, replicas and children included, got %.0f", maxProcesses, n)
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

// Check says what is wrong with the settings by themselves.
func (t Telemetry) Check() error {
	c := &checker{}
	c.telemetry(t)
	return c.err()
}

func (c *checker) telemetry(t Telemetry) {
	at := (*place)(nil).key("telemetry")
	c.values(reflect.ValueOf(t), at)
	c.otlp(t.OTLP, at.key("otlp"))
}

// countProcesses is how many processes actors are, with their spares, perhaps more than an int can say: replicas
// multiply from level to level, and a file may have thousands of levels. Replicas of 0 stand for
// the default, one; a number below that is a problem of its own.
func countProcesses(actors []Actor) float64 {
	var n float64
	for _, a := range actors {
		n += math.Max(1, float64(a.Replicas))*(1+countProcesses(a.Actors)) + math.Max(0, float64(a.Standby))
	}
	return n
}

// run checks the main job.
func (c *checker) run(t *Tree, at *place) {
	c.noteIf(t.Run.Endpoint == "", at.key("endpoint"), "expected the name of an endpoint, there is none")
	known, actor := index(t.Actors), at.key("actor")
	a, found := known[t.Run.Actor]
	_, nameless := known[""]
	switch names := sortedKeys(known); {
	case nameless: // it may be the one that is meant, and its missing name is reported anyway
	case t.Run.Actor == "":
		c.note(actor, "expected one of the tree's own actors (%s), there is none", words.List(names, ", "))
	case !found:
		c.note(actor, "expected one of the tree's own actors (%s), got %s%s", words.List(names, ", "),
			words.Quote(t.Run.Actor), words.DidYouMean(t.Run.Actor, names))
	case a.GoPlugin != nil:
		c.note(actor, "expected an actor that serves endpoints, got %q, which is a foreign program (goplugin)", a.Name)
	}
}

// siblings checks actors beside one another. One without a name, which is a problem of its
// own, may be the one that another actor or the main job means.
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
		c.actor(a, at.item(i, a.Name))
		c.standby(a, at.item(i, a.Name))
		c.dependencies(a, position, at.item(i, a.Name).key("depends_on"))
	}
	// One cycle is reported, even if there are more: to cut it may well cut the others.
	if _, cycle := order(actors); cycle != nil {
		first := at.item(position[cycle[0]], cycle[0])
		c.note(first.key("depends_on").key(cycle[1]), "depends_on is circular: %s → %s; remove one of these",
			words.List(cycle[:len(cycle)-1], " → "), words.Cut(cycle[0]))
	}
}

// dependencies looks for what an actor depends on among its siblings.
func (c *checker) dependencies(a Actor, siblings map[string]int, at *place) {
	_, nameless := siblings[""]
	for _, name := range sortedKeys(a.DependsOn) {
		if _, known := siblings[name]; known || nameless { // a nameless one may be the one that is meant
			continue
		}
		var others []string
		if !c.full() { // else nobody would read them, and to sort all names for each actor is quadratic
			others = slices.DeleteFunc(sortedKeys(siblings), func(s string) bool { return s == a.Name })
		}
		beside := "there are none"
		if len(others) > 0 {
			beside = words.List(others, ", ")
		}
		c.note(at.key(name), "expected actors beside this one (%s), got %s%s", beside, words.Quote(name), words.DidYouMean(name, others))
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
	c.values(reflect.ValueOf(a), at)
	c.program(a, at)
	c.carried(a, at)
	if cpu := time.Duration(a.Limits.CPU); cpu%time.Second != 0 {
		c.note(at.key("limits").key("cpu"), "expected whole seconds, such as 60s, got %v", cpu)
	}
	c.restart(a, at)
	c.streams(a.Streams, at.key("streams"))
	c.refused(at.key("callers"), callers.Rule(a.Callers).Validate())
	c.foreign(a, at)
	c.mcp(a, at)
	c.on(a, at)
	c.siblings(a.Actors, at.key("actors"))
	c.supervision(a.Supervision, a.Actors, at)
}

// program checks what is to be started: exactly one of a package and a command. Whether
// they are there is asked by [Tree.CheckPrograms], as that may change at any time.
func (c *checker) program(a Actor, at *place) {
	pkg, command := at.key("package"), at.key("command")
	switch {
	case a.Package != "" && len(a.Command) > 0:
		c.note(at, "expected either package or command, there are both")
	case a.Package == "" && len(a.Command) == 0 && c.read(pkg, command):
		c.note(at, "expected package (a Go package to build) or command (a program to start), there is neither")
	case strings.HasPrefix(a.Package, "-"):
		c.note(pkg, "expected a Go package such as ./plugins/parser, got %s, which the go command takes for an option", words.Quote(a.Package))
	case len(a.Command) > 0 && a.Command[0] == "":
		c.note(command.item(0, ""), "expected a program, it is empty")
	}
	if sum, err := hex.DecodeString(a.SHA256); a.SHA256 != "" && (err != nil || len(sum) != sha256.Size) {
		c.note(at.key("sha256"), "expected 64 hex digits, as sha256sum prints them, got %s", words.Quote(a.SHA256))
	}
}

// carried notes what the operating system cannot carry to a process.
func (c *checker) carried(a Actor, at *place) {
	c.refused(at.key("package"), environ.CheckText(a.Package))
	c.refused(at.key("dir"), environ.CheckText(a.Dir))
	for i, text := range a.Command {
		c.refused(at.key("command").item(i, ""), environ.CheckText(text))
	}
	for _, name := range sortedKeys(a.Env) {
		c.refused(at.key("env").key(name), environ.CheckVariable(name, a.Env[name]))
	}
}
