package callers

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// Rule lists who may call, as the words below, names of actors or paths of them; nil is the
// default, [Default]. The hosts of an actor may always call it: they own it. A name is about actors
// that the callee or one of its hosts hosts: any other host could give it to what it wants to.
type Rule []string

// The words of a rule.
const (
	Parent   = "parent"   // the hosts of the callee, from its own one to the root
	Children = "children" // all that the callee hosts, and below
	Siblings = "siblings" // all beside the callee, and below these
	Tree     = "tree"     // every actor of the tree
	Joined   = "joined"   // programs that have joined, and what they host
)

var relations = []string{Parent, Children, Siblings, Tree, Joined}

// Default is the rule where none is given.
var Default = Rule{Parent, Children, Siblings}

// nameForm is the form of names and paths in a rule.
var nameForm = regexp.MustCompile(`^[a-z0-9_-]+(#[0-9]+)?(/[a-z0-9_-]+(#[0-9]+)?)*$`)

// Validate reports what is wrong with a rule. A list that is there and empty would admit as many
// as one that has only the hosts, which is better said.
func (r Rule) Validate() error {
	if r != nil && len(r) == 0 {
		return fmt.Errorf("expected who may call, got nobody; write %s for its hosts only", Parent)
	}
	for i, word := range r {
		switch {
		case !nameForm.MatchString(word):
			return fmt.Errorf("expected %s, or the name or path of an actor, got %s", words.Either(relations), words.Quote(word))
		case slices.Index(r, word) < i:
			return fmt.Errorf("%s is there twice", words.Quote(word))
		}
	}
	return nil
}

// Caller is who wants to call, as the hosts between it and the callee have vouched.
type Caller struct {
	Path   string // from the root of the tree; "" is the root
	Joined bool   // it is a program that has joined, or below one
}

// Refusal is why a caller may not call an endpoint of the actor at a path, with the rule that says
// so; "" if it may. A rule of the endpoint and one of the actor must both admit the caller;
// where neither is given, the default does or does not.
func Refusal(c Caller, callee, endpoint string, ofEndpoint, ofActor Rule) string {
	if c.owns(callee) {
		return ""
	}
	if ofEndpoint == nil && ofActor == nil {
		ofActor = Default
	}
	for _, of := range []struct {
		what string
		rule Rule
	}{{"endpoint", ofEndpoint}, {"actor", ofActor}} {
		if of.rule != nil && !of.rule.admits(c, callee) {
			return fmt.Sprintf("%s may not call %s of %s: the callers of that %s are %s; %s would admit it",
				c, words.Quote(endpoint), words.Quote(callee), of.what, words.List(of.rule, ", "), c.relation(callee))
		}
	}
	return ""
}

// String is the caller in an error.
func (c Caller) String() string {
	switch {
	case c.Joined:
		return words.Quote(c.Path) + ", which has joined,"
	case c.Path == "":
		return "the root"
	}
	return words.Quote(c.Path)
}

// owns reports whether the caller hosts the actor at a path, however many levels above it.
func (c Caller) owns(callee string) bool { return !c.Joined && treepath.IsBelow(callee, c.Path) }

// admits reports whether one of the rule's words is about the caller.
func (r Rule) admits(c Caller, callee string) bool {
	return slices.ContainsFunc(r, func(word string) bool { return word == Joined && c.Joined || !c.Joined && c.is(word, callee) })
}

// is reports whether a word is about a caller that has not joined.
func (c Caller) is(word, callee string) bool {
	switch word {
	case Parent:
		return c.owns(callee)
	case Children:
		return treepath.IsBelow(c.Path, callee)
	case Siblings:
		return c.Path != "" && treepath.IsBelow(c.Path, treepath.Host(callee)) && c.Path != callee && !treepath.IsBelow(c.Path, callee)
	case Tree:
		return true
	case Joined:
		return false
	}
	return treepath.Is(c.Path, word) || treepath.Name(c.Path) == word && c.namedBy(callee)
}

// namedBy reports whether the callee, or one of its hosts, has given the caller its name.
// Others could give it to whatever they host.
func (c Caller) namedBy(callee string) bool {
	host := treepath.Host(c.Path)
	return host == callee || treepath.IsBelow(callee, host)
}

// relation is the word that would admit a caller, and the fewest others.
func (c Caller) relation(callee string) string {
	switch {
	case c.Joined:
		return Joined
	case c.is(Children, callee):
		return Children
	case c.is(Siblings, callee):
		return Siblings
	}
	return Tree + " or " + words.Quote(c.Path)
}
