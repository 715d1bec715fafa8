package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// override applies --set and the arguments of the command line.
func (r *reader) override(root *yaml.Node, o Options) {
	for _, set := range o.Set {
		r.set(root, "--set "+set, set)
	}
	for _, arg := range o.Args {
		if child(root, "run") == nil {
			r.elsewhere(arg, "", "the tree has no run section, so that there is no main job to give arguments to")
			continue
		}
		r.set(root, arg, "run.args."+arg)
	}
}

// set replaces one value. option is how problems name it.
func (r *reader) set(root *yaml.Node, option, assignment string) {
	path, text, ok := strings.Cut(assignment, "=")
	if !ok || path == "" {
		r.elsewhere(option, "", "expected path=value, as in actors.parser.replicas=2")
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		doc.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.DoubleQuotedStyle}}
	}
	value := doc.Content[0]
	r.mark(value, option)
	keys := strings.Split(path, ".")
	at := root
	for i, key := range keys {
		if at = r.descend(at, key, strings.Join(keys[:i], "."), option); at == nil {
			return
		}
	}
	*at = *value
	r.mark(at, option)
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
	if at.Kind == yaml.AliasNode {
		*at = *at.Alias // this use alone is changed
	}
	if at.Kind == yaml.SequenceNode {
		return r.descendByName(at, key, path, option)
	}
	if at.Kind == yaml.ScalarNode && (at.Tag == "!!null" || at.Value == "") {
		*at = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column}
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
	r.mark(name, option)
	at.Content = append(at.Content, name, value)
	return value
}

func (r *reader) descendByName(list *yaml.Node, name, path, option string) *yaml.Node {
	var names []string
	for _, item := range list.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		n := child(item, "name")
		if n == nil {
			continue
		}
		if n.Value == name {
			return item
		}
		names = append(names, n.Value)
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
