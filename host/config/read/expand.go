package read

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/internal/words"
)

// variableForm is what variables may be called.
var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expandAll replaces the variables in all values of a tree, after which each value has
// the tag that it is to have.
func (r *reader) expandAll(n *node) {
	if n.refused {
		return
	}
	if n.kind == scalar {
		r.expandScalar(n)
	}
	if n.tagged {
		r.checkTag(n)
	}
	for _, item := range n.items {
		r.expandAll(item)
	}
}

// expandScalar replaces variables in a text. A plain scalar gets its type from
// what comes out; one with quotes or a tag keeps it.
func (r *reader) expandScalar(n *node) {
	if strings.Contains(n.text, "$") {
		n.text = r.expand(n, n.text)
		if n.plain {
			n.tag = plainTag(n.text)
		}
	}
	if !utf8.ValidString(n.text) {
		r.refuse(n, "expected UTF-8 text, got %q", n.text)
	}
}

// tagged are the tags that mean something here, and what values may have them.
var tagged = map[string]kind{
	tagText: scalar, tagInt: scalar, tagFloat: scalar, tagBool: scalar, tagNull: scalar, "!!seq": list, "!!map": mapping,
}

// checkTag refuses a tag that was written and means nothing to us, or is not that of
// its value.
func (r *reader) checkTag(n *node) {
	kind, known := tagged[n.tag]
	fits := kind == n.kind
	if fits && kind == scalar && n.tag != tagText {
		tag := plainTag(n.text)
		fits = tag == n.tag || tag == tagInt && n.tag == tagFloat
	}
	switch {
	case !known:
		r.refuse(n, "unknown tag %s; remove it, or put the value into quotes if it is a part of a text", words.Cut(n.tag))
	case !fits:
		value := *n
		value.tagged = false
		r.refuse(n, "expected a value that fits its tag %s, got %s", words.Cut(n.tag), value.describe())
	}
}

// plainTag is the type that a text has where it stands without quotes.
func plainTag(text string) string {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return tagText
	}
	n := doc.Content[0]
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.Value != text || n.Tag == "!!merge" {
		return tagText // a part of it is not text to YAML: quotes, a comment, an anchor
	}
	return n.Tag
}

// expand replaces ${NAME}, ${NAME:-default}, ${NAME:?message} and $$.
func (r *reader) expand(n *node, text string) string {
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
				r.reportVariable(n, "${ without its }; write $$ for a dollar sign")
				return out.String()
			}
			out.WriteString(r.variable(n, body))
			text = after
		default:
			out.WriteByte('$')
			text = rest
		}
	}
}

// variable is what stands for ${body}.
func (r *reader) variable(n *node, body string) string {
	name, more, special := strings.Cut(body, ":")
	hasDefault, demanded := strings.HasPrefix(more, "-"), strings.HasPrefix(more, "?")
	if !variableForm.MatchString(name) || special && !hasDefault && !demanded || strings.Contains(more, "${") {
		r.reportVariable(n, "expected ${NAME}, ${NAME:-default} or ${NAME:?message}, none inside of another, got ${%s}; "+
			"write $$ for a dollar sign", body)
		return ""
	}
	value, ok := r.lookup(name)
	switch {
	case ok && (value != "" || !special):
	case hasDefault:
		return more[1:]
	case demanded:
		r.reportVariable(n, "variable %s is not set: %s", name, more[1:])
	default:
		r.reportVariable(n, "variable %s is not set; set it, or give a default as in ${%s:-default}", name, name)
	}
	return value
}

// reportVariable reports one of the variables of a value, which has more of them
// perhaps.
func (r *reader) reportVariable(n *node, format string, args ...any) {
	n.refused = true
	r.report(n, format, args...)
}
