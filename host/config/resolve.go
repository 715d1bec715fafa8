package config

import "go.yaml.in/yaml/v3"

// Bounds against aliases that expand to more than a file can mean.
const (
	maxDepth = 40
	maxNodes = 100_000
)

// resolve returns a copy of a tree in which nothing is shared: aliases and merge
// keys have become copies of what they name. A cyclic or exploding alias is a
// problem.
func (r *reader) resolve(n *yaml.Node, path string) *yaml.Node {
	budget := maxNodes
	return r.copyNode(n, path, 0, &budget)
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
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.Content = append(c.Content, r.copyNode(item, itemPath(path, item, i), depth+1, budget))
		}
	case yaml.MappingNode:
		r.copyMapping(n, &c, path, depth, budget)
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
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

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
