package read

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// override applies --set and the arguments of the command line.
func (r *reader) override(root *node, o Options) {
	for _, set := range o.Set {
		path, text, ok := strings.Cut(set, "=")
		keys := strings.Split(path, ".")
		if !ok || slices.Contains(keys, "") {
			r.elsewhere("--set "+set, "", "expected path=value, as in actors.parser.replicas=2")
			continue
		}
		r.set(root, "--set "+set, keys, text)
	}
	for _, arg := range o.Args {
		r.argument(root, arg)
	}
}

func (r *reader) argument(root *node, arg string) {
	name, text, ok := strings.Cut(arg, "=")
	keys := strings.Split(name, ".")
	run := root.child("run")
	args := run.child("args")
	switch {
	case run == nil:
		r.elsewhere(arg, "", "the tree has no run section, so that there is no main job to give arguments to")
	case !ok && args != nil && args.kind == scalar:
		r.set(root, arg, []string{"run", "args"}, arg)
	case !ok || slices.Contains(keys, ""):
		r.elsewhere(arg, "", "expected name=value, an argument of the main job"+exampleOf(args, arg))
	default:
		r.set(root, arg, append([]string{"run", "args"}, keys...), text)
	}
}

// exampleOf says what an argument of the main job can look like.
func exampleOf(args *node, arg string) string {
	var names []string
	if args != nil && args.kind == mapping {
		for _, item := range args.items {
			names = append(names, item.key)
		}
	}
	switch {
	case len(names) == 0:
		return ", as in root=/src"
	case len(names) == 1 && !strings.Contains(arg, "="):
		return fmt.Sprintf("; did you mean %s=%s?", names[0], arg)
	}
	return "; in the file are " + words.List(names, ", ")
}

// set replaces one value. option is how problems name it.
func (r *reader) set(root *node, option string, keys []string, text string) {
	at := root
	for i, key := range keys {
		if at = r.descend(at, key, strings.Join(keys[:i], "."), option); at == nil {
			return
		}
	}
	value := r.build(valueOf(text), at, option)
	switch {
	case value == nil:
	case value.isNull() && !isArgument(keys):
		at.remove()
	default:
		at.become(value)
	}
}

// isArgument reports whether a path is that of an argument of the main job, which may
// be null.
func isArgument(keys []string) bool { return len(keys) > 2 && keys[0] == "run" && keys[1] == "args" }

// valueOf reads a value as YAML. What is not valid YAML, or would lose something as
// YAML, is a text as it stands: a # and what follows, the zeros of 007 and 1.10, and
// the form of 1234e56.
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

// descend goes one step down a path, and makes what is missing.
func (r *reader) descend(at *node, key, path, option string) *node {
	empty := at.kind == scalar && (at.tag == tagNull || at.text == "")
	switch {
	case listsActors(path) && (at.kind == list || empty):
		return r.descendByName(at, key, path, option)
	case at.kind == list:
		r.elsewhere(option, path, fmt.Sprintf("a list is set as a whole, as in %s=[x, y]", path))
		return nil
	case empty:
		at.become(&node{kind: mapping, at: at.at, named: map[string]*node{}})
	}
	if at.kind != mapping {
		r.elsewhere(option, path, fmt.Sprintf("expected a mapping to set %q in, there is %s", key, at.describe()))
		return nil
	}
	if value := at.child(key); value != nil {
		return value
	}
	value := &node{up: at, at: origin{option: option}, tag: tagNull}
	at.add(value, key, origin{option: option})
	return value
}

// listsActors reports whether the items of the list at a path are actors.
func listsActors(path string) bool {
	return path == "actors" || strings.HasSuffix(path, ".actors") && !strings.HasPrefix(path, "run.")
}

func (r *reader) descendByName(at *node, name, path, option string) *node {
	var names []string
	for _, item := range at.items {
		switch known := r.nameOf(item); known {
		case name:
			return item
		case "":
		default:
			names = append(names, known)
		}
	}
	if at.kind != list {
		at.refused = true // a list that was left out is not a problem of its own
	}
	have := "there is none"
	if len(names) > 0 {
		have = "there are " + words.List(names, ", ") + words.DidYouMean(name, names)
	}
	r.elsewhere(option, path, fmt.Sprintf("no actor %s here; %s", words.Quote(name), have))
	return nil
}

// nameOf is the name of a list's item before variables are replaced; "" if it has
// none. A problem of the name is reported where it stands, and not here.
func (r *reader) nameOf(item *node) string {
	name := item.child("name")
	if name == nil || name.kind != scalar {
		return ""
	}
	return (&reader{lookup: r.lookup}).expand(&node{}, name.text)
}

// elsewhere notes a problem of an option.
func (r *reader) elsewhere(option, path, message string) {
	r.add(origin{option: option}, path, message)
}
