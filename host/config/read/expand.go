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

// A value goes through settle when decode comes to it, and so exactly once: what a variable
// brings is not looked through for further variables. Whoever sets a variable might otherwise read
// others, and a password with a dollar sign in it would be another one.

// settle replaces the variables in a value, after which it has the tag that it is to
// have, and reports whether it can be used. A plain value gets its type from what comes
// out; one with quotes is a text.
//
// A tag that was written is refused. Other programs give tags of their own a meaning, such as
// !env or !secret, and the name of a secret must not go out in the place of the secret; and what
// YAML's own tags say, quotes say as well, or their absence.
//
// The file was UTF-8 as a whole, but an escape in quotes, an option or a variable may bring other
// bytes. JSON and protobuf, by which values travel, would replace or refuse these.
func (r *reader) settle(n *node) bool {
	if strings.Contains(n.text, "$") && !n.refused {
		n.raw = n.text
		n.text = r.expand(n.text, func(format string, args ...any) {
			n.refused = true // and there may be more to say of it
			r.report(n.at, n, format, args...)
		})
		if n.plain {
			n.tag = plainTag(n.text)
		}
	}
	if !utf8.ValidString(n.text) {
		r.refuse(n, "expected UTF-8 text, got %q", n.text)
	}
	if n.tagged {
		r.refuse(n, "unknown tag %s; remove it, and put the value into quotes if it is a text", words.Cut(n.tag))
	}
	return !n.refused
}

// plainTag is the type that a text has where it stands without quotes. The YAML parser is
// asked, so that a variable's value has the type that it would have if it stood in the file. But it
// is always a single value: one that the parser takes for a list or mapping is a text, so that
// nobody can add keys to a file by setting a variable.
func plainTag(text string) string {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return tagText
	}
	n := doc.Content[0]
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.Value != text {
		return tagText // a part of it is not text to YAML: quotes, a comment, an anchor
	}
	return n.Tag
}

// expand replaces ${NAME}, ${NAME:-default}, ${NAME:?message} and $$. What is wrong with
// them goes to report. The forms are those of a shell, as far as they are the same in all; a
// dollar sign before anything but a brace or another one stands for itself, so that $1 or $HOME in
// a command line reach the shell that is to read them.
func (r *reader) expand(text string, report func(format string, args ...any)) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		switch {
		case !found:
			return out.String()
		case strings.HasPrefix(rest, "{"):
			body, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				report("${ without its }; write $$ for a dollar sign")
				return out.String()
			}
			out.WriteString(r.variable(body, report))
			text = after
		default:
			out.WriteByte('$')
			text = strings.TrimPrefix(rest, "$")
		}
	}
}

// variable is what stands for ${body}. A variable that is set and empty is as good as one that is
// not, where there is a colon: that is how shells have it. Without a colon it is an empty text.
func (r *reader) variable(body string, report func(format string, args ...any)) string {
	name, more, special := strings.Cut(body, ":")
	hasDefault, demanded := strings.HasPrefix(more, "-"), strings.HasPrefix(more, "?")
	if !variableForm.MatchString(name) || special && !hasDefault && !demanded || strings.Contains(more, "${") {
		report("expected ${NAME}, ${NAME:-default} or ${NAME:?message}, none inside another, got ${%s}; write $$ for a dollar sign", body)
		return ""
	}
	value, ok := r.lookup(name)
	switch {
	case ok && (value != "" || !special):
	case hasDefault:
		return more[1:]
	case demanded:
		report("variable %s is not set: %s", name, more[1:])
	default:
		report("variable %s is not set; set it, or give a default as in ${%s:-default}", name, name)
	}
	return value
}
