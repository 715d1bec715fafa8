package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds against aliases that expand to more than a file can mean.
const (
	maxDepth = 40
	maxNodes = 100_000
)

// resolve returns the tree without aliases and merge keys, its variables
// expanded. An alias copies; a cyclic or exploding one is a problem.
func (r *reader) resolve(n *yaml.Node, path string, depth int) *yaml.Node {
	budget := maxNodes
	return r.copyNode(n, path, depth, &budget)
}

func (r *reader) copyNode(n *yaml.Node, path string, depth int, budget *int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	*budget--
	if depth > maxDepth || *budget < 0 {
		if *budget >= 0 || *budget == -1 {
			r.report(n, path, "the file nests too deeply, or its aliases repeat too much; write it out with fewer of them")
			*budget = -2
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	c := *n
	c.Content, c.Anchor, c.Alias = nil, "", nil
	if option, elsewhere := r.origin[n]; elsewhere {
		r.origin[&c] = option
	}
	switch n.Kind {
	case yaml.ScalarNode:
		r.expandScalar(&c, path)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.Content = append(c.Content, r.copyNode(item, path+"[]", depth+1, budget))
		}
	case yaml.MappingNode:
		r.copyMapping(n, &c, path, depth, budget)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return &c
}

// copyMapping copies pairs; what a merge key brings comes last and gives way to
// the mapping's own keys.
func (r *reader) copyMapping(n, c *yaml.Node, path string, depth int, budget *int) {
	var merged []*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			merged = append(merged, r.mergeSources(r.copyNode(value, path, depth+1, budget), path)...)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			r.report(key, path, "expected a plain key, got %s", describe(key))
			continue
		}
		if seen[key.Value] {
			r.report(key, join(path, key.Value), "this key stands here twice; keep one of them")
			continue
		}
		seen[key.Value] = true
		c.Content = append(c.Content, key, r.copyNode(value, join(path, key.Value), depth+1, budget))
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if key := m.Content[i]; !seen[key.Value] {
				seen[key.Value] = true
				c.Content = append(c.Content, key, m.Content[i+1])
			}
		}
	}
}

func (r *reader) mergeSources(n *yaml.Node, path string) []*yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		return []*yaml.Node{n}
	case yaml.SequenceNode:
		var all []*yaml.Node
		for _, item := range n.Content {
			all = append(all, r.mergeSources(item, path)...)
		}
		return all
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	r.report(n, path, "expected a mapping to merge with <<, got %s", describe(n))
	return nil
}

// expandScalar replaces variables in a text. A plain scalar gets its type from
// what comes out; a quoted one stays a text.
func (r *reader) expandScalar(n *yaml.Node, path string) {
	if !strings.Contains(n.Value, "$") {
		return
	}
	n.Value = r.expand(n, path, n.Value)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		var typed yaml.Node
		if yaml.Unmarshal([]byte(n.Value), &typed) == nil && len(typed.Content) == 1 && typed.Content[0].Kind == yaml.ScalarNode {
			n.Tag = typed.Content[0].Tag
		}
	}
}

// expand replaces ${NAME}, ${NAME:-default}, ${NAME:?message} and $$.
func (r *reader) expand(n *yaml.Node, path, text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		switch {
		case !found:
			return out.String()
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			body, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				r.report(n, path, "${ without its }; write $$ for a dollar sign")
				return out.String()
			}
			out.WriteString(r.variable(n, path, body))
			text = after
		default:
			out.WriteByte('$')
			text = rest
		}
	}
}

func (r *reader) variable(n *yaml.Node, path, body string) string {
	name, fallback, hasDefault := strings.Cut(body, ":-")
	if hasDefault {
		if value, ok := r.lookup(name); ok && value != "" {
			return value
		}
		return fallback
	}
	name, message, demanded := strings.Cut(body, ":?")
	value, ok := r.lookup(name)
	switch {
	case ok && (value != "" || !demanded):
	case demanded:
		r.report(n, path, "variable %s is not set: %s", name, message)
	default:
		r.report(n, path, "variable %s is not set; set it, or give a default as in ${%s:-default}", name, name)
	}
	return value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
