package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// variableForm is what variables may be called.
var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expandAll replaces the variables in all values of a tree.
func (r *reader) expandAll(n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.ScalarNode:
		r.expandScalar(n, path)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if name := r.nameOf(item); name != "" {
				at = join(path, name)
			}
			r.expandAll(item, at)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.expandAll(n.Content[i+1], join(path, n.Content[i].Value))
		}
	case yaml.DocumentNode, yaml.AliasNode:
	}
}

// nameOf is the name of a list's item before variables are replaced; "" if it has
// none. A problem of the name is reported where it stands, and not here.
func (r *reader) nameOf(item *yaml.Node) string {
	name := child(item, "name")
	if name == nil || name.Kind != yaml.ScalarNode {
		return ""
	}
	return newReader("", r.lookup).expand(name, "", name.Value)
}

// expandScalar replaces variables in a text. A plain scalar gets its type from
// what comes out; one with quotes or a tag keeps it.
func (r *reader) expandScalar(n *yaml.Node, path string) {
	if strings.Contains(n.Value, "$") {
		n.Value = r.expand(n, path, n.Value)
		if n.Style == 0 {
			n.Tag = plainTag(n.Value)
		}
	}
	if !utf8.ValidString(n.Value) {
		r.refuse(n, path, "expected UTF-8 text, got %q", n.Value)
	}
}

// plainTag is the type that a text has where it stands without quotes.
func plainTag(text string) string {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return "!!str"
	}
	n := doc.Content[0]
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.Value != text || n.Tag == "!!merge" {
		return "!!str" // a part of it is no text to YAML: quotes, a comment, an anchor
	}
	return n.Tag
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
				r.reportVariable(n, path, "${ without its }; write $$ for a dollar sign")
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

// variable is what stands for ${body}.
func (r *reader) variable(n *yaml.Node, path, body string) string {
	name, more, special := strings.Cut(body, ":")
	hasDefault, demanded := strings.HasPrefix(more, "-"), strings.HasPrefix(more, "?")
	if !variableForm.MatchString(name) || special && !hasDefault && !demanded || strings.Contains(more, "${") {
		r.reportVariable(n, path, "expected ${NAME}, ${NAME:-default} or ${NAME:?message}, none inside of another, got ${%s}; "+
			"write $$ for a dollar sign", body)
		return ""
	}
	value, ok := r.lookup(name)
	switch {
	case ok && (value != "" || !special):
	case hasDefault:
		return more[1:]
	case demanded:
		r.reportVariable(n, path, "variable %s is not set: %s", name, more[1:])
	default:
		r.reportVariable(n, path, "variable %s is not set; set it, or give a default as in ${%s:-default}", name, name)
	}
	return value
}

// reportVariable reports one of the variables of a value, which has more of them
// perhaps.
func (r *reader) reportVariable(n *yaml.Node, path, format string, args ...any) {
	r.refused[n] = true
	r.report(n, path, format, args...)
}
