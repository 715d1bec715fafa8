package command

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-2ba35074/trellis/host/config"
	"github.com/seed-2ba35074/trellis/host/config/read"
	"github.com/seed-2ba35074/trellis/internal/document"
	"github.com/seed-2ba35074/trellis/internal/treepath"
	"github.com/seed-2ba35074/trellis/internal/words"
)

// graph is the document of host graph: who hosts whom, and who waits for whom.
type graph struct {
	Version int     `json:"version"`
	Name    string  `json:"name"` // of the tree
	Nodes   []*node `json:"nodes"`
	Edges   []edge  `json:"edges"`
}

// node is an actor. Replicas and restart are what a file says of it; state and pid are those of one that runs.
type node struct {
	Path     string `json:"path"`
	Name     string `json:"name"`
	Replicas int    `json:"replicas,omitempty"`
	Restart  string `json:"restart,omitempty"`
	State    string `json:"state,omitempty"`
	PID      int    `json:"pid,omitempty"`
	Joined   bool   `json:"joined,omitempty"`
}

// edge leads from an actor to another one. The host of the whole tree has the path "".
type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"`           // hosts or depends_on
	When string `json:"when,omitempty"` // what the other one must be first: started or healthy
}

// The kinds of edges.
const (
	hosts     = "hosts"
	dependsOn = "depends_on"
)

// drawings are the ways in which a graph is written for people and their tools.
var drawings = map[string]func(g *graph) string{"ascii": ascii, "mermaid": mermaid, "dot": dot}

func newGraph(p *program) *cobra.Command {
	var output string
	write := func(g *graph) error {
		if output == "json" {
			return p.printJSON(g)
		}
		_, err := fmt.Fprint(p.stdout, drawings[output](g))
		return err
	}
	cmd := p.joining(&cobra.Command{
		Use:   "graph",
		Short: "Draw the tree of a config file, or that of a host that serves",
		Long: "Draw the tree of a config file: who hosts whom, and who depends on whom; or, with --at, the tree of the host\n" +
			"that serves there, with the states of its actors. Mermaid is for Markdown, dot for Graphviz.",
		Example: "  host graph\n  host graph -o dot | dot -Tsvg > tree.svg\n  host graph --at default -o mermaid",
		Args:    noArgs,
	}, func(ctx context.Context, _ []string) error {
		all, err := present(ctx, "")
		if err != nil {
			return err
		}
		return write(graphOfActors(all))
	})
	p.orOfFile(cmd, write)
	cmd.Flags().StringVarP(&output, "output", "o", "ascii", "ascii, mermaid, dot or json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if drawings[output] == nil && output != "json" {
			return &usageError{fmt.Errorf("--output: expected ascii, mermaid, dot or json, got %s", words.Quote(output))}
		}
		return nil
	}
	return cmd
}

// orOfFile makes a command that draws the tree of a host draw that of the config file without --at.
func (p *program) orOfFile(cmd *cobra.Command, write func(g *graph) error) {
	at := cmd.Flags().Lookup("at")
	at.Usage, at.DefValue = "draw the tree of the host that serves here: a name, or the path of a socket", ""
	ofHost := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if at.Changed {
			return ofHost(cmd, args)
		}
		tree, err := p.load(cmd.Context(), read.Options{})
		if err != nil {
			return err
		}
		return write(graphOfFile(tree))
	}
}

// graphOfFile is the tree that a config file describes.
func graphOfFile(tree *config.Tree) *graph {
	g := &graph{Version: document.Version, Name: tree.Name, Nodes: []*node{}, Edges: []edge{}}
	g.describe("", tree.Actors)
	return g
}

// describe adds actors and all below them, in the order of the file.
func (g *graph) describe(host string, actors []config.Actor) {
	for _, a := range actors {
		full := a.WithDefaults()
		at := treepath.Join(host, a.Name)
		g.Nodes = append(g.Nodes, &node{Path: at, Name: a.Name, Replicas: full.Replicas, Restart: string(full.Restart)})
		g.Edges = append(g.Edges, edge{host, at, hosts, ""})
		for _, name := range sortedKeys(a.DependsOn) {
			g.Edges = append(g.Edges, edge{at, treepath.Join(host, name), dependsOn, string(a.DependsOn[name])})
		}
		g.describe(at, a.Actors)
	}
}

// graphOfActors is the tree of a host that serves.
func graphOfActors(all []*document.Actor) *graph {
	g := &graph{Version: document.Version, Nodes: []*node{}, Edges: []edge{}}
	known := map[string]bool{}
	for _, a := range all {
		known[a.Path] = true
		g.Nodes = append(g.Nodes, &node{Path: a.Path, Name: a.Name, State: fmt.Sprint(a.State), PID: a.PID, Joined: a.Joined})
		host := treepath.Host(a.Path)
		if !known[host] {
			host = ""
		}
		g.Edges = append(g.Edges, edge{host, a.Path, hosts, ""})
	}
	return g
}

// title is what a drawing calls the host of the tree.
func (g *graph) title() string {
	if g.Name == "" {
		return "host"
	}
	return g.Name
}

// facts are what a drawing says of an actor behind its name.
func (n *node) facts() []string {
	facts := []string{n.State}
	if n.Replicas > 1 {
		facts = append(facts, fmt.Sprintf("%d replicas", n.Replicas))
	}
	if config.RestartKind(n.Restart) != config.Temporary {
		facts = append(facts, n.Restart)
	}
	if n.Joined {
		facts = append(facts, "joined")
	}
	return slices.DeleteFunc(facts, func(s string) bool { return s == "" })
}

// label is an actor in a drawing: its own part of its path, and what is said of it.
func (n *node) label() string {
	return strings.Join(append([]string{treepath.Last(n.Path)}, n.facts()...), ", ")
}
