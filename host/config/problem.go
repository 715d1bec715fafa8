package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/internal/terminal"
)

// Problem is one mistake in a config file.
type Problem struct {
	File         string // or the option that brought the value, such as --set
	Line, Column int    // 0 if the value did not come from the file
	Path         string // such as actors.census.replicas; "" for the file as a whole
	Message      string // what was expected, what came, what to do
}

// String is one line that a terminal can only show: names and keys stand in
// problems as the file has them.
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	return terminal.Line(where + ": " + p.Message)
}

// Error is all that is wrong with a config, in the order of the file.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// reader gathers problems while a file is read.
type reader struct {
	file     string
	lookup   func(name string) (string, bool)
	problems []Problem
	origin   map[*yaml.Node]string // values that did not come from the file
	refused  map[*yaml.Node]bool   // values with a problem of their own
}

func newReader(file string, lookup func(name string) (string, bool)) *reader {
	return &reader{file: file, lookup: lookup, origin: map[*yaml.Node]string{}, refused: map[*yaml.Node]bool{}}
}

// refuse reports a value that cannot be used. What would follow from it is then no
// problem of its own: only the first refusal of a value is reported.
func (r *reader) refuse(n *yaml.Node, path, format string, args ...any) {
	if !r.refused[n] {
		r.refused[n] = true
		r.report(n, path, format, args...)
	}
}

// report notes a problem at a node.
func (r *reader) report(n *yaml.Node, path, format string, args ...any) {
	p := Problem{File: r.file, Path: path, Message: fmt.Sprintf(format, args...)}
	if n != nil {
		if option, elsewhere := r.origin[n]; elsewhere {
			p.File = option
		} else {
			p.Line, p.Column = n.Line, n.Column
		}
	}
	r.problems = append(r.problems, p)
}

// where is the place of a node in a sentence.
func (r *reader) where(n *yaml.Node) string {
	if option, elsewhere := r.origin[n]; elsewhere {
		return option
	}
	return fmt.Sprintf("line %d", n.Line)
}

// err is everything that was reported, nil if nothing was.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Problems: slices.Compact(r.problems)}
}

// describe says what a node is, for "got …".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return fmt.Sprintf("%q", n.Value)
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return "an alias"
}
