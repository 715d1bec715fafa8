package read

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// override applies --set and the arguments of the command line. It works on nodes, before
// variables are replaced and anything is decoded: so an option may hold ${NAME}, may mend a value
// of the file that is wrong, and has its problems reported like those of the file, under its own
// name. Arguments come after every --set, and win over it.
func (r *reader) override(root *node, o Options) {
	for _, set := range o.Set {
		option := setting{r, "--set " + set}
		path, text, ok := strings.Cut(set, "=")
		if keys := strings.Split(path, "."); ok && !slices.Contains(keys, "") {
			option.set(root, keys, text)
		} else {
			option.report(nil, "expected path=value, as in actors.parser.replicas=2")
		}
	}
	for _, arg := range o.Args {
		setting{r, arg}.argument(root)
	}
}

// setting is an option of the command line that sets one value.
type setting struct {
	r      *reader
	option string // how problems name it
}

// report notes a problem of the option with a value of the file.
func (s setting) report(of *node, format string, args ...any) {
	s.r.report(config.Place{File: s.option}, of, format, args...)
}

// argument sets an argument of the main job. If the file gives a single value, a text without "="
// replaces it. One with "=" is always name=value; a text of that form needs --set run.args=….
func (s setting) argument(root *node) {
	name, text, ok := strings.Cut(s.option, "=")
	keys := strings.Split(name, ".")
	run := root.child("run")
	args := run.child("args")
	switch {
	case run == nil:
		s.report(nil, "the tree has no run section, so that there is no main job to give arguments to")
	case !ok && args != nil && args.kind == yaml.ScalarNode:
		s.set(root, []string{"run", "args"}, s.option)
	case !ok || slices.Contains(keys, ""):
		s.report(nil, "expected name=value, an argument of the main job%s", s.example(args))
	default:
		s.set(root, append([]string{"run", "args"}, keys...), text)
	}
}

// example says what an argument of the main job can look like.
func (s setting) example(args *node) string {
	var names []string
	if args != nil && args.kind == yaml.MappingNode {
		for _, item := range args.items {
			names = append(names, item.key)
		}
	}
	switch {
	case len(names) == 0:
		return ", as in root=/src"
	case len(names) == 1 && !strings.Contains(s.option, "="):
		return fmt.Sprintf("; did you mean %s=%s?", names[0], s.option)
	}
	return "; in the file are " + words.List(names, ", ")
}

// set replaces one value, or takes it away: null is a value only as an argument of the
// main job, whose endpoint may know it. Anywhere else a key without a value is a problem, so
// there is nothing else that null could mean.
func (s setting) set(root *node, keys []string, text string) {
	at := root
	for i, key := range keys {
		if at = s.descend(at, key, keys[:i]); at == nil {
			return
		}
	}
	isArgument := len(keys) > 2 && keys[0] == "run" && keys[1] == "args"
	switch value := s.r.build(valueOf(text), at, s.option); {
	case value == nil:
	case value.kind == yaml.ScalarNode && value.tag == tagNull && !isArgument:
		at.remove()
	default:
		at.become(value)
	}
}

// valueOf reads a value as YAML. What is not valid YAML, or would lose something as
// YAML, is a text as it stands: a # and what follows, the zeros of 007 and 1.10, and
// the form of 1234e56. On a command line nobody thinks of these as YAML; they are a commit, a
// version or a part of an address. Whoever quotes or tags a value does think of it.
func valueOf(text string) *yaml.Node {
	asText := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagText, Value: text, Style: yaml.DoubleQuotedStyle}
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return asText
	}
	n := doc.Content[0]
	kept := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.TaggedStyle) != 0
	if n.Kind != yaml.ScalarNode || kept {
		return n
	}
	isNumber := n.Tag == tagInt || n.Tag == tagFloat
	if n.Value != text || isNumber && !printedNumber.MatchString(text) {
		return asText
	}
	return n
}

// descend goes one step down from the value at a path, and makes what is missing: --set
// may give a key, or a mapping, that the file has not. Its place is then the option. What it makes
// has the value null at first, and is filled by the next step or by [setting.set]; a key that
// nothing reads is reported when it is decoded, as one in the file would be.
func (s setting) descend(at *node, key string, path []string) *node {
	empty := at.kind == yaml.ScalarNode && (at.tag == tagNull || at.text == "")
	isList := at.kind == yaml.SequenceNode
	listsActors := len(path) > 0 && path[len(path)-1] == "actors" && path[0] != "run"
	switch {
	case listsActors && (isList || empty):
		return s.descendByName(at, key)
	case isList:
		s.report(at, "a list is set as a whole, as in %s=[x, y]", strings.Join(path, "."))
		return nil
	case empty:
		at.become(&node{kind: yaml.MappingNode, tag: tagMap, at: at.at, named: map[string]*node{}})
	case at.kind != yaml.MappingNode:
		s.report(at, "expected a mapping to set %q in, there is %s", key, at.describe())
		return nil
	}
	if at.named[key] == nil {
		place := config.Place{File: s.option}
		at.add(&node{kind: yaml.ScalarNode, tag: tagNull, at: place}, key, place)
	}
	return at.named[key]
}

// descendByName goes to one of the actors in a list. Their names are compared after their
// variables are replaced, which is reported only when the names are read. An option cannot add an
// actor: that would need more than one value, and a slip in a name would make one.
func (s setting) descendByName(at *node, name string) *node {
	var names []string
	for _, item := range at.items {
		known := s.r.expand(item.name(), func(string, ...any) {})
		if known == name {
			return item
		}
		if known != "" {
			names = append(names, known)
		}
	}
	if at.kind != yaml.SequenceNode {
		at.refused = true // a list that was left out is not a problem of its own
	}
	have := "there is none"
	if len(names) > 0 {
		have = "there are " + words.List(names, ", ") + words.DidYouMean(name, names)
	}
	s.report(at, "no actor %s here; %s", words.Quote(name), have)
	return nil
}
