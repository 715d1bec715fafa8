package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// override applies --set and the arguments of the command line.
func (r *reader) override(root *yaml.Node, o Options) {
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

func (r *reader) argument(root *yaml.Node, arg string) {
	name, text, ok := strings.Cut(arg, "=")
	keys := strings.Split(name, ".")
	run := child(root, "run")
	switch {
	case run == nil:
		r.elsewhere(arg, "", "the tree has no run section, so that there is no main job to give arguments to")
	case !ok || slices.Contains(keys, ""):
		r.elsewhere(arg, "", "expected name=value, an argument of the main job"+exampleOf(child(run, "args"), arg))
	default:
		r.set(root, arg, append([]string{"run", "args"}, keys...), text)
	}
}

// exampleOf says what an argument of the main job can look like.
func exampleOf(args *yaml.Node, arg string) string {
	names := keysIn(args)
	switch {
	case len(names) == 0:
		return ", as in root=/src"
	case len(names) == 1 && !strings.Contains(arg, "="):
		return fmt.Sprintf("; did you mean %s=%s?", names[0], arg)
	}
	return "; in the file are " + strings.Join(names, ", ")
}

// set replaces one value. option is how problems name it.
func (r *reader) set(root *yaml.Node, option string, keys []string, text string) {
	value := valueOf(text)
	r.mark(value, option)
	value = r.resolve(value, strings.Join(keys, "."))
	at, parent := root, root
	for i, key := range keys {
		parent = at
		if at = r.descend(at, key, strings.Join(keys[:i], "."), option); at == nil {
			return
		}
	}
	if value.Tag == "!!null" && !isArgument(keys) {
		drop(parent, at)
		return
	}
	*at = *value
	r.origin[at] = option
}

// isArgument tells that a path is that of an argument of the main job, which may be
// null.
func isArgument(keys []string) bool { return len(keys) > 2 && keys[0] == "run" && keys[1] == "args" }

// drop takes a value, and its key if it has one, out of a mapping or list.
func drop(parent, value *yaml.Node) {
	i := slices.Index(parent.Content, value)
	if parent.Kind == yaml.MappingNode {
		parent.Content = slices.Delete(parent.Content, i-1, i+1)
		return
	}
	parent.Content = slices.Delete(parent.Content, i, i+1)
}

// valueOf reads a value as YAML. What is no YAML, or would lose something as YAML,
// is a text as it stands.
func valueOf(text string) *yaml.Node {
	asText := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.DoubleQuotedStyle}
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return asText
	}
	n := doc.Content[0]
	kept := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.TaggedStyle) != 0
	if n.Kind == yaml.ScalarNode && !kept && n.Value != text {
		return asText
	}
	return n
}

// mark notes that a value did not come from the file.
func (r *reader) mark(n *yaml.Node, option string) {
	r.origin[n] = option
	for _, c := range n.Content {
		r.mark(c, option)
	}
}

// descend goes one step down a path, and makes what is missing.
func (r *reader) descend(at *yaml.Node, key, path, option string) *yaml.Node {
	empty := at.Kind == yaml.ScalarNode && (at.Tag == "!!null" || at.Value == "")
	switch {
	case listsActors(path) && (at.Kind == yaml.SequenceNode || empty):
		return r.descendByName(at, key, path, option)
	case at.Kind == yaml.SequenceNode:
		r.elsewhere(option, path, fmt.Sprintf("a list is set as a whole, as in %s=[x, y]", path))
		return nil
	case empty:
		*at = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column} // origin stays
	}
	if at.Kind != yaml.MappingNode {
		r.elsewhere(option, path, fmt.Sprintf("expected a mapping to set %q in, there is %s", key, describe(at)))
		return nil
	}
	if value := child(at, key); value != nil {
		return value
	}
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	r.origin[name], r.origin[value] = option, option
	at.Content = append(at.Content, name, value)
	return value
}

// listsActors tells that the items of the list at a path are actors.
func listsActors(path string) bool {
	return path == "actors" || strings.HasSuffix(path, ".actors") && !strings.HasPrefix(path, "run.")
}

func (r *reader) descendByName(list *yaml.Node, name, path, option string) *yaml.Node {
	var names []string
	for _, item := range list.Content {
		switch known := r.nameOf(item); known {
		case name:
			return item
		case "":
		default:
			names = append(names, known)
		}
	}
	if list.Kind != yaml.SequenceNode {
		r.refused[list] = true // a list that was left out is no problem of its own
	}
	have := "there is none"
	if len(names) > 0 {
		have = "there are " + strings.Join(names, ", ")
	}
	r.elsewhere(option, path, fmt.Sprintf("no actor %q here; %s", name, have))
	return nil
}

// elsewhere notes a problem of an option.
func (r *reader) elsewhere(option, path, message string) {
	r.problems = append(r.problems, Problem{File: option, Path: path, Message: message})
}

// keysIn are the keys of a mapping.
func keysIn(n *yaml.Node) []string {
	var keys []string
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			keys = append(keys, n.Content[i].Value)
		}
	}
	return keys
}

// child is the value of a mapping's key, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
