package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ascii draws a tree as tree(1) does, with what each actor waits for.
func ascii(g *graph) string {
	below, needs, nodes := map[string][]*node{}, map[string][]string{}, map[string]*node{}
	for _, n := range g.Nodes {
		nodes[n.Path] = n
	}
	for _, e := range g.Edges {
		if e.Kind == hosts {
			below[e.From] = append(below[e.From], nodes[e.To])
		} else {
			needs[e.From] = append(needs[e.From], nodes[e.To].Name+" "+e.When)
		}
	}
	var out strings.Builder
	out.WriteString(g.title() + "\n")
	var draw func(path, indent string)
	draw = func(path, indent string) {
		for i, n := range below[path] {
			branch, next := "|-- ", "|   "
			if i == len(below[path])-1 {
				branch, next = "`-- ", "    "
			}
			line := indent + branch + n.label()
			if len(needs[n.Path]) > 0 {
				line += ", after " + strings.Join(needs[n.Path], " and ")
			}
			out.WriteString(line + "\n")
			draw(n.Path, indent+next)
		}
	}
	draw("", "")
	return out.String()
}

// mermaid draws a graph as Markdown pages show it.
func mermaid(g *graph) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, "#quot;") + `"` }
	return drawn(g, "flowchart TD\n", "", func(id, label string) string { return id + "[" + quote(label) + "]" },
		func(from, to, when string) string {
			if when == "" {
				return from + " --> " + to
			}
			return from + " -. " + quote(when) + " .-> " + to
		})
}

// dot draws a graph as Graphviz reads it.
func dot(g *graph) string {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	return drawn(g, "digraph tree {\n    node [shape=box]\n", "}\n", func(id, label string) string { return id + " [label=" + quote(label) + "]" },
		func(from, to, when string) string {
			if when == "" {
				return from + " -> " + to
			}
			return from + " -> " + to + " [style=dashed, label=" + quote(when) + "]"
		})
}

// drawn writes the nodes and the edges of a graph, a line each. Nodes have numbers, since paths are not
// names in any of these languages.
func drawn(g *graph, head, foot string, node func(id, label string) string, edge func(from, to, when string) string) string {
	var out strings.Builder
	ids := map[string]string{"": "n0"}
	line := func(text string) { out.WriteString("    " + text + "\n") }
	out.WriteString(head)
	line(node("n0", g.title()))
	for i, n := range g.Nodes {
		ids[n.Path] = fmt.Sprintf("n%d", i+1)
		line(node(ids[n.Path], n.label()))
	}
	for _, e := range g.Edges {
		line(edge(ids[e.From], ids[e.To], e.When))
	}
	return out.String() + foot
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
