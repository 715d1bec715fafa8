// Package read reads a tree of actors from a YAML file. It is strict: what it does
// not understand is a problem, and all problems of a file are reported at once, each
// with its file, line and column.
//
// A file becomes a tree of nodes, which know where they stand; options change it,
// variables are replaced in it, and it is decoded into a config.Tree. What is wrong
// with that is for config to say, and finds its line and column here.
package read

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host/config"
)

// Options are what comes to a config from outside of its file.
type Options struct {
	// Lookup finds the variables of ${NAME}; os.LookupEnv if nil.
	Lookup func(name string) (string, bool)
	// Set are "path=value": they replace single values, and null takes one away.
	// Actors in a path are named: actors.census.actors.parser.replicas=2.
	Set []string
	// Args are "name=value": they replace single arguments of the main job. One
	// without = replaces the argument of a job that has a single one.
	Args []string
	// Programs also looks for the programs and packages that the file names, from
	// the folder of the file.
	Programs bool
}

// MaxFile is how many bytes a file may have.
const MaxFile = 4 << 20

// Load reads a file. What is wrong with its content is an *Error.
func Load(path string, o Options) (*config.Tree, error) {
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	src, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, src, o)
}

// Parse reads the text of a file of the given name.
func Parse(name string, src []byte, o Options) (*config.Tree, error) {
	r := &reader{file: name, lookup: o.Lookup}
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	root := r.parse(src)
	if root == nil {
		return nil, r.err()
	}
	r.override(root, o)
	r.expandAll(root)
	for {
		tree := &config.Tree{}
		r.decodeInto(root, tree)
		if again := r.check(root, tree.Check()); again {
			continue
		}
		if o.Programs {
			r.check(root, tree.CheckPrograms(filepath.Dir(name)))
		}
		if err := r.err(); err != nil {
			return nil, err
		}
		return tree, nil
	}
}

// yamlLine finds the line in the parser's own error texts.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// parse makes the one document of the file a tree of nodes; nil after a problem.
func (r *reader) parse(src []byte) *node {
	whole := func(message string) *node {
		r.add(origin{}, "", message)
		return nil
	}
	if len(src) > MaxFile {
		return whole("expected a file of at most " + config.Size(MaxFile).String())
	}
	if !utf8.Valid(src) {
		return whole("expected UTF-8 text; this is not text, or in another encoding")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return whole("expected a tree of actors, the file is empty; see the README for a first one")
	case err != nil:
		return r.syntax(src, err)
	}
	switch err := decoder.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return r.syntax(src, err)
	default:
		r.add(origin{line: more.Line, column: more.Column}, "", "expected one YAML document, there are more; remove the lines from --- on")
		return nil
	}
	root := r.build(doc.Content[0], nil, "")
	if root == nil {
		return nil
	}
	if root.kind != mapping {
		r.report(root, "expected a mapping with the keys name, run and actors, got %s", root.describe())
		return nil
	}
	return root
}

// syntax reports what the parser says, at the line that it means: it counts some
// lines from 0, names none that is the first, and for some errors knows none.
func (r *reader) syntax(src []byte, err error) *node {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := origin{line: 1, column: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		at.line, _ = strconv.Atoi(m[1]) // digits
		text = strings.Replace(text, m[0], "", 1)
		if strings.HasPrefix(text, "did not find expected") {
			at.line = min(at.line+1, bytes.Count(bytes.TrimSpace(src), []byte{'\n'})+1)
		}
	}
	if text == "found unexpected end of stream" {
		text += "; is a quote not closed?" // the line is that of the quote, unless it is the first
	}
	if strings.HasPrefix(text, "unknown anchor") || strings.HasPrefix(text, "control characters") {
		at = origin{}
	}
	r.add(at, "", "this is not valid YAML: "+text)
	return nil
}
