package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Options are what comes to a config from outside of its file.
type Options struct {
	// Lookup finds the variables of ${NAME}; os.LookupEnv if nil.
	Lookup func(name string) (string, bool)
	// Set are "path=value": they replace single values, and null takes one away.
	// Actors in a path are named: actors.census.actors.parser.replicas=2.
	Set []string
	// Args are "name=value": they replace single arguments of the main job.
	Args []string
}

// Load reads a file. What is wrong with its content is an *Error.
func Load(path string, o Options) (*Tree, error) {
	src, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	return Parse(path, src, o)
}

// Parse reads the text of a file of the given name.
func Parse(name string, src []byte, o Options) (*Tree, error) {
	r := newReader(name, o.Lookup)
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	root := r.parse(src)
	if root == nil {
		return nil, r.err()
	}
	root = r.resolve(root, "")
	r.override(root, o)
	r.expandAll(root, "")
	tree := &Tree{}
	r.decodeStruct(root, tree, "")
	r.validate(root, tree)
	r.validateForeign(root, tree)
	if err := r.err(); err != nil {
		return nil, err
	}
	return tree, nil
}

// yamlLine finds the line in the parser's own error texts.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// parse makes the one document of the file a node; nil after a problem.
func (r *reader) parse(src []byte) *yaml.Node {
	if !utf8.Valid(src) {
		r.report(nil, "", "expected UTF-8 text; this is no text, or in another encoding")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.report(nil, "", "expected a tree of actors, the file is empty; see the README for a first one")
		return nil
	case err != nil:
		r.syntax(src, err)
		return nil
	}
	switch err := decoder.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(src, err)
		return nil
	default:
		r.report(&more, "", "expected one YAML document, there are more; remove the lines from --- on")
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.report(doc.Content[0], "", "expected a mapping with the keys name, run and actors, got %s", describe(doc.Content[0]))
		return nil
	}
	return doc.Content[0]
}

// syntax reports what the parser says, at the line that it means: it counts some
// lines from 0, names none that is the first, and for some errors knows none.
func (r *reader) syntax(src []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := &yaml.Node{Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		at.Line, _ = strconv.Atoi(m[1]) // digits
		text = strings.Replace(text, m[0], "", 1)
		if strings.HasPrefix(text, "did not find expected") {
			at.Line = min(at.Line+1, bytes.Count(bytes.TrimSpace(src), []byte{'\n'})+1)
		}
	}
	if text == "found unexpected end of stream" {
		text += "; is a quote not closed?" // the line is that of the quote, unless it is the first
	}
	if strings.HasPrefix(text, "unknown anchor") || strings.HasPrefix(text, "control characters") {
		at = nil
	}
	r.report(at, "", "this is no YAML: %s", text)
}
